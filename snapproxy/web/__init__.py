"""HTTP in: from raw requests to plans, from answers to bytes on the wire."""
