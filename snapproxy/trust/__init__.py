"""Check the signatures of roots: OpenPGP through gpgv, raw signatures through the cryptography library.

A function of `core.signatures` derives the verdict from the results, without I/O.
"""
