"""The histories, the ways in which archives keep their past: one module each. No history imports another."""
