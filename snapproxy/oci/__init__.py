"""OCI artifacts in registries, and in image layouts (folders and tar files): reading, writing and copying them.

`places` reads the names of places, `manifests` the manifests and indexes (both pure). `artifact` is the form in which
every place takes and returns artifacts. The places are `layout` (folder or tar) and `registry`; `transfer` copies whole
artifacts. The content of an artifact (captures, locks, packages) is unknown here: `capture` and `jobs` decide it.
"""
