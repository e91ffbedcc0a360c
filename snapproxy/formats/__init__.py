"""Parsers of file formats: bytes in, records out, in bounded memory, without HTTP and without files."""
