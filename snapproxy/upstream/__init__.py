"""Send HTTP requests to archives: the client, the egress policy, the rate limits, and requests passed through unpinned.

The package returns each answer as a value. `core.upstream_answer` classifies it, and `download` acts on it.
"""
