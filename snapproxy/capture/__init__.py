"""Captures: the record of everything that a build was served, and the file formats in which it is written.

`notes` defines a capture's lines and how they combine (pure); `recorder` wraps the answerer of requests and records its
answers; `captures` keeps captures by name. `lock` writes a record as a lock and `lock_reader` reads it; `artifact` and
`tree` define its layout in a registry and in a folder; `sha256sums`, `cyclonedx`, `spdx` and `intoto` write formats of
other tools. The modules for file formats do no I/O.
"""
