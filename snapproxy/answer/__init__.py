"""Answer a request: resolve its time, plan, gather the facts that the plan needs, and carry the plan out.

The executor is the entry point. It uses `download` to download files and `live` for the state of live files; `web`
implements HTTP.
"""
