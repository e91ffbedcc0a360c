"""Download a file once, for any number of readers in any process of the machine, and verify it before it is stored.

`downloads` starts or joins a flight, `attempt` asks its sources, `incoming` writes and checks its bytes. Callers wait
for a `flight` and receive its `outcome`. The package leaves HTTP requests to `upstream`, the check of roots to `trust`,
and the choice of files to `answer` and `live`.
"""
