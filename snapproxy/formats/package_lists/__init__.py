"""Readers of lists of packages that other tools write: one module a format, bytes in, `PackageList` out.

`model` has the values, `known` has the table of formats and recognises a list by its content.
"""
