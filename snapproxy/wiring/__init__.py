"""Put the parts together; only `wiring` and `cli` read the configuration.

`application` builds everything. `times` builds only what answers about times, for commands that ask for nothing else.
`upstream` opens the HTTP client for both; `times` imports it when an upstream is asked first. This module imports
nothing, so that each command imports only the parts that it builds.
"""
