"""Shared by all packages that do I/O: the request context, the clock, names in the catalog, refusals, statistics."""
