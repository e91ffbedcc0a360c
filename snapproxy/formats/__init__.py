"""Parsers of file formats: bytes in, records out, in bounded memory. Pure, without HTTP and without files."""
