"""Answer a request: settle its time, plan, gather the facts that the plan needs, and carry the plan out.

The executor is the entry point. It leaves downloading to `download`, the state of live files to `live`, and HTTP to
`web`.
"""
