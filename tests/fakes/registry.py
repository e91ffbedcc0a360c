"""A strict in-memory registry (OCI distribution-spec 1.1) that records requests and misbehaves on command.

It can require logins (Basic, or Bearer with a token service), redirect blobs to another host, have or lack a referrers
API, decline mounts, ask for long chunks, refuse long ones, report too little of an upload, drop uploads, answer an
`sha256-` tag with the subject itself, be busy, and break off.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

INDEX = "application/vnd.oci.image.index.v1+json"
_V2 = re.compile(r"/v2/(?P<name>.+)/(?P<kind>blobs/uploads|blobs|manifests|referrers)/(?P<rest>[^/]*)")

THIS: web.AppKey[SimulatedRegistry] = web.AppKey("registry")

Misdeed = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass(frozen=True)
class Seen:
    """A request as received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Upload:
    name: str
    data: bytearray = field(default_factory=bytearray)
    turn: int = 0
    first: int = 0


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class SimulatedRegistry:
    """Listens on 127.0.0.1 while its `async with` lasts. Attributes may be changed at any time."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, Upload] = {}
        self.seen: list[Seen] = []
        self.has_referrers = True
        self.page = 100
        self.mounts = True
        self.takes_chunks = True
        self.chunk_least = 0
        self.chunk_most = 1 << 63
        self.whole_most = 1 << 63
        self.chunk_status = 202
        self.reports_first_chunk_only = False
        self.is_gitlab = False
        self.login = ("", "")
        self.bearer = False
        self.identity_token = ""
        self.oauth = True
        self.blob_host = ""
        self.lies: dict[str, bytes] = {}
        self.misdeeds: list[tuple[str, str, Misdeed]] = []
        self.tokens: dict[str, set[str]] = {}

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        app[THIS] = self
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        self.host = f"127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def misbehave(self, method: str, path: str, *deeds: Misdeed) -> None:
        """Do this instead of answering, once each, for requests of this method whose path matches this pattern."""
        self.misdeeds.extend((method, path, deed) for deed in deeds)

    def asked(self, method: str, path: str = "") -> list[Seen]:
        return [each for each in self.seen if each.method == method and re.search(path, each.path)]

    @property
    def was_given_a_login(self) -> bool:
        return any("authorization" in each.headers for each in self.seen)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path, dict(request.query), headers))
        for number, (method, path, deed) in enumerate(self.misdeeds):
            if method == request.method and re.search(path, request.path):
                del self.misdeeds[number]
                return await deed(request) or await self._answer(request)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await self._token(request)
        if request.path.startswith("/elsewhere/"):
            return self._blob(request, request.path.removeprefix("/elsewhere/"), redirects=False)
        if refused := self._denied(request):
            return refused
        if request.path == "/v2/":
            return web.json_response({})
        found = _V2.fullmatch(request.path)
        if found is None:
            return _error(404, "NAME_UNKNOWN")
        kind, name, rest = found["kind"], found["name"], found["rest"]
        if kind == "blobs/uploads":
            return await self._upload(request, name, rest)
        if kind == "blobs":
            return self._blob(request, rest)
        if kind == "manifests":
            return await self._manifest(request, name, rest)
        return self._referrers(request, name, rest)

    # --- who may ---

    def _denied(self, request: web.Request) -> web.Response | None:
        user, password = self.login
        if not user and not self.identity_token:
            return None
        authorization = request.headers.get("Authorization", "")
        if not self.bearer:
            expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
            challenge = 'Basic realm="here"'
            return None if authorization == expected else _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})
        needed = self._needed(request)
        allowed = self.tokens.get(authorization.removeprefix("Bearer "), set())
        if needed <= allowed or (not needed and allowed):
            return None
        scope = " ".join(sorted(needed))
        challenge = f'Bearer realm="http://{self.host}/token?a=b",service="s",scope="{scope}"'
        return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})

    def _needed(self, request: web.Request) -> set[str]:
        found = _V2.fullmatch(request.path)
        name = found["name"] if found else ""
        needed = {f"{name}:pull"} | ({f"{name}:push"} if request.method not in {"GET", "HEAD"} else set())
        return needed | ({f"{request.query['from']}:pull"} if "from" in request.query else set())

    async def _token(self, request: web.Request) -> web.Response:
        user, password = self.login
        expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        if request.method == "POST":
            form = await request.post()
            if not self.oauth:
                return web.Response(status=404)
            is_known = form["refresh_token"] == self.identity_token and form["grant_type"] == "refresh_token"
            scopes = str(form["scope"]).split(" ")
        else:
            given = b64encode(f"<token>:{self.identity_token}".encode()).decode()
            is_known = request.headers.get("Authorization") in {expected, f"Basic {given}"}
            scopes = request.query.getall("scope", [])
        if not is_known:
            return _error(401, "UNAUTHORIZED")
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = {
            f"{name}:{action}"
            for name, actions in (scope.removeprefix("repository:").rsplit(":", 1) for scope in scopes)
            for action in actions.split(",")
        }
        return web.json_response({"access_token": token, "expires_in": 300})

    # --- blobs ---

    def _blob(self, request: web.Request, wanted: str, *, redirects: bool = True) -> web.StreamResponse:
        data = self.lies.get(wanted, self.blobs.get(wanted))
        if data is None:
            return _error(404, "BLOB_UNKNOWN")
        if redirects and self.blob_host and request.method == "GET":
            return web.Response(status=307, headers={"Location": f"{self.blob_host}/elsewhere/{wanted}"})
        start = int(found[1]) if (found := re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))) else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return web.Response(status=206 if start else 200, body=data[start:], headers=headers)

    async def _upload(self, request: web.Request, name: str, token: str) -> web.StreamResponse:
        if request.method == "POST":
            return self._begin(request, name)
        upload = self.uploads.get(token)
        if upload is None or request.query.get("turn") != str(upload.turn) or request.query.get("state") != "a+b/%2F":
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "GET":
            return _error(404, "BLOB_UPLOAD_UNKNOWN") if self.reports_first_chunk_only else self._where(token, 204)
        if request.method == "PATCH":
            return await self._chunk(request, token, upload)
        if int(request.headers["Content-Length"]) > self.whole_most:
            return _error(413, "SIZE_INVALID")
        upload.data += await request.read()
        del self.uploads[token]
        if digest(bytes(upload.data)) != request.query["digest"]:
            return _error(400, "DIGEST_INVALID")
        self.blobs[request.query["digest"]] = bytes(upload.data)
        return web.Response(status=201, headers={"Location": f"/v2/{name}/blobs/{request.query['digest']}"})

    def _begin(self, request: web.Request, name: str) -> web.Response:
        if request.headers.get("Content-Length") != "0":
            return _error(411, "SIZE_INVALID")
        if self.mounts and request.query.get("mount") in self.blobs:
            return web.Response(status=201)
        token = f"upload-{len(self.seen)}"
        self.uploads[token] = Upload(name)
        return self._where(token, 202, least=True)

    async def _chunk(self, request: web.Request, token: str, upload: Upload) -> web.StreamResponse:
        if not self.takes_chunks:
            return _error(405, "UNSUPPORTED")
        start, end = map(int, request.headers["Content-Range"].split("-"))
        if start != len(upload.data):
            return _error(416, "RANGE_INVALID")
        if end + 1 - start > self.chunk_most:
            return _error(416, "REQUESTED_RANGE_NOT_SATISFIABLE")
        async for (
            piece
        ) in request.content.iter_any():  # bytes received before a connection broke are kept, as by real registries
            upload.data += piece
        assert len(upload.data) == end + 1
        upload.first = upload.first or end + 1
        return self._where(token, self.chunk_status)

    def _where(self, token: str, status: int, *, least: bool = False) -> web.Response:
        upload = self.uploads[token]
        upload.turn += 1
        location = f"/v2/{upload.name}/blobs/uploads/{token}?state=a%2Bb%2F%252F&turn={upload.turn}"
        reported = upload.first if self.reports_first_chunk_only else len(upload.data)
        headers = {"Location": location, "Range": f"0-{max(0, reported - 1)}"}
        if least and self.chunk_least:
            headers["OCI-Chunk-Min-Length"] = str(self.chunk_least)
        return web.Response(status=status, headers=headers)

    # --- manifests ---

    async def _manifest(self, request: web.Request, name: str, version: str) -> web.StreamResponse:
        if request.method == "PUT":
            return await self._put(request, name, version)
        found = self.manifests.get((name, version))
        if found is None and self.is_gitlab and version.startswith("sha256-"):
            found = self.manifests.get((name, version.replace("-", ":")))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN")
        media_type, data = found
        told = {"Docker-Content-Digest": digest(data)}
        return web.Response(body=self.lies.get(version, data), headers=told, content_type=media_type)

    async def _put(self, request: web.Request, name: str, version: str) -> web.StreamResponse:
        data = await request.read()
        value: dict[str, Any] = json.loads(data)
        blobs = [value["config"], *value["layers"]] if "layers" in value else []
        missing = [each["digest"] for each in blobs if each["digest"] not in self.blobs]
        missing += [
            each["digest"] for each in value.get("manifests", []) if (name, each["digest"]) not in self.manifests
        ]
        if missing or request.content_type != value["mediaType"]:
            return _error(400, "MANIFEST_BLOB_UNKNOWN", message=missing[0] if missing else "")
        for key in (version, digest(data)):
            self.manifests[name, key] = (request.content_type, data)
        headers = {"Docker-Content-Digest": digest(data)}
        if self.has_referrers and "subject" in value:
            headers["OCI-Subject"] = value["subject"]["digest"]
        return web.Response(status=201, headers=headers)

    def _referrers(self, request: web.Request, name: str, subject: str) -> web.StreamResponse:
        if not self.has_referrers:
            return _error(404, "NOT_FOUND")
        found = []
        for (repository, key), (media_type, data) in self.manifests.items():
            value = json.loads(data)
            if repository == name and key == digest(data) and value.get("subject", {}).get("digest") == subject:
                entry = {
                    "mediaType": media_type,
                    "digest": key,
                    "size": len(data),
                    "artifactType": value["artifactType"],
                }
                found.append(entry | {"annotations": value.get("annotations", {})})
        start = int(request.query.get("start", "0"))
        page = found[start : start + self.page]
        headers = {}
        if start + self.page < len(found):
            headers["Link"] = f'</v2/{name}/referrers/{subject}?start={start + self.page}>; rel="next"'
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": page}).encode()
        return web.Response(body=body, content_type=INDEX, headers=headers)


def _error(status: int, code: str, headers: dict[str, str] | None = None, message: str = "") -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)


# --- misdeeds ---------------------------------------------------------------------------------------------------------


def busy(status: int = 429, retry_after: str = "") -> Misdeed:
    async def deed(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    return deed


def moved(location: str, status: int = 307) -> Misdeed:
    async def deed(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return deed


async def forget(request: web.Request) -> None:
    """Drop all uploads; then answer normally."""
    request.config_dict[THIS].uploads.clear()


async def reset(request: web.Request) -> web.StreamResponse | None:
    """Break off without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def cut_after(data: bytes, promised: int) -> Misdeed:
    """Announce so many bytes, send these, and break off."""

    async def deed(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(promised)})
        await answer.prepare(request)
        await answer.write(data)
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return answer

    return deed
