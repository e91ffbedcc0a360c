"""Download a file once, for any number of readers in any process of the machine, and verify it before it is stored.

`downloads` starts or joins a flight, `attempt` tries its sources, `incoming` writes and checks its bytes. Callers wait
for a `flight` and receive its `outcome`. `upstream` sends the HTTP requests, `trust` checks roots, and `answer` and
`live` choose the files.
"""
