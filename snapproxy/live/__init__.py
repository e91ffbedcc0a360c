"""Current files: revalidate each root, adopt a new one together with its indexes, and record observations.

`download` transfers the bytes, and `trust` checks the signatures.
"""
