"""Artifacts where others keep them: registries, image layouts in folders and tar files. What an artifact says is left to others.

`names` reads where one lies, `model` what a manifest is (both pure). `artifact` is what all places take and give: documents, and
blobs by descriptor. `layout`, `tarball` and `registry` are the places. Of the shell it needs a clock alone (`core.clock`).
"""
