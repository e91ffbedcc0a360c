"""`serve --offline` in a network name space without routes, traced: what is stored is answered, and no socket is opened to anywhere."""

from __future__ import annotations

import os
import shutil

import pytest

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(os.geteuid() != 0, reason="a network name space of one's own takes root"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

_ASKS = """
import json, sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
answers = {}
for url in sys.argv[1:]:
    try:
        with opener.open(url, timeout=20) as answer:
            answers[url] = [answer.status, len(answer.read()), dict(answer.headers)]
    except urllib.error.HTTPError as error:
        answers[url] = [error.code, error.reason, error.read().decode()]
print(json.dumps(answers))
"""
