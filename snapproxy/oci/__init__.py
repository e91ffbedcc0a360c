"""OCI artifacts in registries, and in image layouts (folders and tar files): reading, writing and copying them.

`places` reads the names of places, `manifests` the manifests and indexes; neither does I/O. `artifact` is the form in
which every place takes and returns artifacts. The places are `layout` (folder or tar) and `registry`; `transfer` copies
whole artifacts. The package has no code for the content of an artifact (captures, locks, packages), which `capture` and
`jobs` define.
"""
