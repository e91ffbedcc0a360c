"""Serve HTTP: read requests, let an `Answerer` answer them, and write the responses.

`protocol` wraps aiohttp's connections, `gateway` answers one request, `replies` and `bodies` write heads and bodies,
`pages` has the pages of the proxy itself, `proxy_server` starts all of it. `core` and `answer` resolve times and fetch
files.
"""
