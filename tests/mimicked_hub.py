"""The Hugging Face hub as its own library sees it, on this machine: repositories that can be made, filled and read."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Hub", "mimicked_hub"]


@dataclass
class Hub:
    """What the hub holds, and how it misbehaves."""

    root: str = ""
    token: str = "hf_secret"
    #: name to "private", "files" (path to content) and "commits" (hashes).
    repositories: dict[str, dict] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)  # sha256 to what was uploaded
    refuse: dict[str, int] = field(default_factory=dict)  # part of a path to the status that it is answered with
    asked: list[str] = field(default_factory=list)

    def put(self, name: str, **files: bytes) -> None:
        """A repository with files, as somebody else made it."""
        self.repositories[name] = {"private": False, "files": dict(files), "commits": [_hash(name, 0)], "branches": ["main"]}


def _hash(name: str, number: int) -> str:
    return hashlib.sha1(f"{name} {number}".encode(), usedforsecurity=False).hexdigest()


@contextmanager
def mimicked_hub(monkeypatch, cache) -> Iterator[Hub]:
    """A hub that this process's library asks, with a cache of its own and nobody logged in."""
    from huggingface_hub import constants

    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, hub)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    hub.root = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.root)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.root + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its transfers are another protocol
    monkeypatch.setenv("CALLSPACE_CACHE", str(cache / "callspace"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "CALLSPACE_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    yield hub
    server.shutdown()
    server.server_close()


def _answer(request: BaseHTTPRequestHandler, hub: Hub) -> None:
    path = request.path.partition("?")[0]
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    hub.asked.append(f"{request.command} {path}")
    for part, status in hub.refuse.items():
        if part in path:
            return _send(request, status, b"", {"X-Error-Message": "so it is"})
    if path.startswith("/blob/"):
        hub.blobs[path.rpartition("/")[2]] = body
        return _send(request, 200)
    if request.command in ("GET", "HEAD") and (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)):
        return _file(request, hub, *found.groups())
    if request.headers.get("Authorization") != f"Bearer {hub.token}":
        return _send(request, 401, b"", {"X-Error-Message": "Invalid credentials"})
    if path == "/api/repos/create":
        return _create(request, hub, json.loads(body))
    if found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
        return _json(request, _batch(hub, json.loads(body)))
    if found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(\w+)/([^/]+))?", path):
        name, what, revision = found.groups()
        if name in hub.repositories:
            return _of_model(request, hub, hub.repositories[name], name, what, revision, body)
    return _json(request, {}) if path == "/api/validate-yaml" else _send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})


def _create(request: BaseHTTPRequestHandler, hub: Hub, wanted: dict) -> None:
    name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
    if name in hub.repositories:
        return _json(request, {"url": f"{hub.root}/{name}"}, 409)
    private = wanted.get("private") or wanted.get("visibility") == "private"
    first = {"files": {".gitattributes": b""}, "commits": [_hash(name, 0)], "branches": ["main"]}
    hub.repositories[name] = {"private": bool(private), **first}
    return _json(request, {"url": f"{hub.root}/{name}", "name": name})


def _batch(hub: Hub, wanted: dict) -> dict:
    uploads = [
        {"oid": one["oid"], "size": one["size"], "actions": {"upload": {"href": f"{hub.root}/blob/{one['oid']}"}}}
        for one in wanted["objects"]
    ]
    return {"transfer": "basic", "objects": uploads}


def _of_model(request, hub, repository, name, what, revision, body) -> None:
    if what == "tree":
        files = [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in repository["files"].items()]
        return _json(request, files)
    if what == "branch":
        repository["branches"].append(revision)
        return _json(request, {})
    if what == "preupload":
        kinds = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith((".safetensors", ".onnx")) else "regular",
                "shouldIgnore": False,
            }
            for one in json.loads(body)["files"]
        ]
        return _json(request, {"files": kinds})
    if what == "commit":
        lines = [json.loads(line) for line in body.decode().splitlines()]
        for line in lines:
            if line["key"] == "file":
                repository["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            if line["key"] == "lfsFile":
                repository["files"][line["value"]["path"]] = hub.blobs[line["value"]["oid"]]
        repository["commits"].append(_hash(name, len(repository["commits"])))
        commit = repository["commits"][-1]
        return _json(request, {"success": True, "commitUrl": f"{hub.root}/{name}/commit/{commit}", "commitOid": commit})
    return _json(request, {"id": name, "sha": repository["commits"][-1], "siblings": [{"rfilename": path} for path in repository["files"]]})


def _file(request: BaseHTTPRequestHandler, hub: Hub, name: str, revision: str, file: str) -> None:
    repository = hub.repositories.get(name)
    if repository is None:
        return _send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})
    if file not in repository["files"]:
        return _send(request, 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repository["commits"][-1]})
    content = repository["files"][file]
    commit = revision if revision in repository["commits"] else repository["commits"][-1]
    return _send(request, 200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit})


def _json(request: BaseHTTPRequestHandler, answer: object, status: int = 200) -> None:
    _send(request, status, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
    request.send_response(status)
    for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(key, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
