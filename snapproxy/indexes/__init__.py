"""Tables and listings built from the indexes that the store holds, by a helper process.

It leaves parsing to `families` and `formats`, and the files that a table occupies to the store.
"""
