"""PARSES. Pure: bytes in, records out, in bounded memory. Knows no HTTP and no disk."""
