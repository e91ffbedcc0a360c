"""Download a file once, for any number of readers in any process of the machine, and verify it before it is stored.

`downloads` starts or joins a flight, `attempt` asks its sources, `incoming` writes and checks its bytes, `flight` is
what callers wait for, `outcome` what they get. The package leaves HTTP requests to `upstream`, the check of roots to
`trust`, and the choice of what to fetch to `answer` and `live`.
"""
