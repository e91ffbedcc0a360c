"""Captures: the record of everything a build was served, and what it is written down as.

`notes` are a capture's lines and what they add up to (pure); `recorder` stands before whatever answers requests and takes the notes;
`captures` keeps captures by name. `lock` writes a record down and `lock_reader` reads it back; `artifact` and `tree` say how it lies in a
registry and in a folder; `sha256sums`, `cyclonedx`, `spdx` and `intoto` are for other tools. None of these does I/O.
"""
