"""How archives remember, one file a way. None imports another."""
