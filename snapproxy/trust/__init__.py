"""Check the signatures of roots: OpenPGP through gpgv, raw signatures through the cryptography library.

It leaves the verdict on what was found to `core.signatures`, which is pure.
"""
