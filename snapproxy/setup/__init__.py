"""Client configuration texts, for the command line and the web alike."""
