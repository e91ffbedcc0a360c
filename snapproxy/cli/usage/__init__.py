"""The usage of each verb: its description (the docstring of its module), its options and its epilog in `--help`.

A module of this package imports argument types, but no module that does the work of a verb.
"""
