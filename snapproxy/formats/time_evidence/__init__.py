"""Readers of dates: in logs, databases of installed packages, addresses, Dockerfiles and image configurations.

Each module reads one kind of file that something untrusted wrote, in bounded time and memory, and returns instants in
seconds with the line of each. They state dates; `snapproxy.core.time_evidence` concludes.
"""
