"""How each verb is called: its description (the docstring of its module), its options and its epilog in `--help`.

A module of this package imports what it needs to read arguments, and nothing that does the work of a verb.
"""
