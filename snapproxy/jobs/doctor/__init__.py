"""Checks of an installation: folders, programs, keyrings, listeners, upstreams. They read, and change nothing."""
