"""Files of the present: revalidate each root, adopt a new one with everything it lists, and record what was observed.

It leaves the transfer of bytes to `download` and the check of signatures to `trust`.
"""
