"""What every acting package needs: the context of a request, the clock, names in the catalog, refusals, statistics."""
