"""The table of built-in archives, and the ways an archive remembers. Pure data and pure functions."""
