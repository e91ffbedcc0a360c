"""Disk space: protected and removable files, the order of removal, pins, statistics, checks of stored bytes."""
