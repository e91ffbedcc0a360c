"""metasnap and Launchpad, as services for `ArchiveServer`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from tests.fakes.content import Content
from tests.fakes.services import Answer, document, page


@dataclass
class Metasnap:
    """Answers forms. `rows`: (archive, name, architecture, version, suite, begin, end); `forms`: those received."""

    rows: list[tuple[str, str, str, str, str, str, str]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str, query: str) -> Answer:
        if path != "/api" or not query:
            return page(405)
        form = dict(re.findall(r'name="([a-z]+)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n', unquote(query)))
        self.forms.append(form)
        lines, missing = [], []
        for word in form["pkgs"].split(","):
            found = re.fullmatch(r"([^:]+):([^=]+)=(.+)", word)
            if found is None:
                return page(400)
            own = [row for row in self.rows if row[0] == form["archive"] and row[1:4] == found.groups()]
            lines += [" ".join((*row[1:5], "main", *row[5:])) for row in own]
            missing += [] if own else [" ".join(found.groups())]
        text = "\n".join(missing or lines) + "\n"
        return Answer(404 if missing else 200, Content(text.encode()), {"Content-Type": "text/plain"})


@dataclass
class Launchpad:
    """Answers `getPublishedBinaries`. An ordered collection is a 503, as the real one becomes."""

    entries: list[dict[str, str | None]] = field(default_factory=list)

    def answer(self, path: str, query: str) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if path != "/devel/ubuntu/+archive/primary" or asked.get("ws.op") != "getPublishedBinaries":
            return page(404)
        if asked.get("ordered") != "false":
            return page(503)
        found = [
            each
            for each in self.entries
            if (each["binary_package_name"], each["binary_package_version"]) == (asked["binary_name"], asked["version"])
        ]
        return document(json.loads(json.dumps({"start": 0, "total_size": len(found), "entries": found})))
