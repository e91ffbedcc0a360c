"""Check the signatures of roots: OpenPGP through gpgv, raw signatures through the cryptography library.

The verdict on the results is a pure function of `core.signatures`.
"""
