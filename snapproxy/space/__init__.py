"""Disk space: what is stored and by whom it is needed, what is removed and in which order, checks of stored bytes."""
