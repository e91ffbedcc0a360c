"""The histories, the ways in which archives keep their past: one module each. None imports another."""
