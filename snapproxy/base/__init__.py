"""Code shared by all packages that do I/O: request context, clock, names in the catalog, refusals, statistics."""
