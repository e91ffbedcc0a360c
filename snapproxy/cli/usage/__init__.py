"""The usage of each verb: its description (the docstring of its module), its options and its epilog in `--help`.

A module of this package imports argument types, and nothing that does the work of a verb.
"""
