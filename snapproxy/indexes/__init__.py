"""Tables and listings, which a helper process builds from stored indexes.

`index_tables` looks up the files that an index lists, `listings` the packages. `helper_process` starts the helper,
`helper_main` is its main module, and `table_format` defines the rows that both sides read and write. `families` and
`formats` parse the indexes, and the store manages the files of the tables.
"""
