"""Download a file once, for any number of readers in any process of the machine, and verify it before it is stored.

It leaves the HTTP requests to `upstream`, the check of roots to `trust`, and the choice of what to fetch to `answer` and `live`.
"""
