"""Send HTTP requests to archives: the client, the egress policy, the rate limits, and requests passed through unpinned.

It returns each answer as a value. What an answer means for a download is decided by `core.upstream_answer`.
"""
