"""Tables and listings built from the indexes that the store holds, by a helper process.

`index_tables` looks up the files that an index lists, `listings` the packages. `helper_process` starts the helper,
`helper_main` is its main module, and `table_format` defines the rows that both sides read and write. The package leaves
parsing to `families` and `formats`, and the files that a table occupies to the store.
"""
