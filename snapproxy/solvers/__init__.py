"""The package managers' own solvers: each one runs in a private root, and downloads its indexes through snapproxy.

Nothing here decides which packages belong to a closure.
"""
