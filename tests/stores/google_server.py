"""A stand-in of Google Cloud Storage, written from its JSON and XML references: no emulator knows both.

It checks no signature. https://cloud.google.com/storage/docs/json_api/v1 and .../xml-api/reference-methods
"""

import base64
import itertools
import json
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from werkzeug import Request, Response

from tests.stores.standin import Objects, give, is_intact, run

_objects = Objects()
_sessions: dict[str, dict[str, Any]] = {}
_numbers = itertools.count(1)
_BUCKET = "models"


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, {"Content-Type": "application/json", **(headers or {})})


def _refuse(message: str, status: int) -> Response:
    return _json({"error": {"code": status, "message": message}}, status)


def answer(request: Request) -> Response:
    raw = str(request.environ.get("RAW_URI") or request.environ["REQUEST_URI"]).partition("?")[0]
    path = raw[raw.index("/", 8) :] if raw.startswith("http") else raw
    if path == "/token":
        return _json({"access_token": "tests", "expires_in": 3600, "token_type": "Bearer"})
    if request.headers.get("Authorization") != "Bearer tests":
        return _refuse("credentials", 401)
    if path.startswith("/upload/session/"):
        return _piece(request, path.rpartition("/")[2])
    if path.startswith("/upload/"):
        return _upload(request, path.split("/")[5])
    if path.startswith("/storage/v1/b/"):
        return _json_api(request, path.removeprefix("/storage/v1/b/"))
    return _xml_api(request, path)


def _json_api(request: Request, path: str) -> Response:
    bucket, _, rest = path.partition("/")
    if bucket != _BUCKET:
        return _refuse("The specified bucket does not exist.", 404)
    if rest == "iam":
        members = ["allUsers"] if _objects.public == "policy" else ["user:tests@strongroom.test"]
        return _json({"bindings": [{"role": "roles/storage.objectViewer", "members": members}]})
    if not rest:
        entries = [{"entity": "allUsers"}] if _objects.public == "list" else []
        return _json({"name": bucket, "acl": entries, "iamConfiguration": {}})
    key = unquote(rest.removeprefix("o/"))
    if request.method == "DELETE":
        return Response("", 204) if _objects.held.pop(key, None) else _refuse("No such object", 404)
    found = _objects.held.get(key)
    return _refuse("No such object", 404) if found is None else _json({"metadata": found.metadata})


def _xml_api(request: Request, path: str) -> Response:
    bucket, _, key = path.lstrip("/").partition("/")
    if bucket != _BUCKET:
        return Response("<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>", 404)
    if not key:
        return _list(request)
    found = _objects.held.get(unquote(key))
    if found is None:
        return Response("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404)
    return give(found, request, request.headers.get("Range"), {})


def _list(request: Request) -> Response:
    prefix = request.args.get("prefix", "")
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(_objects.held[key].data)}</Size>"
        "<LastModified>2026-11-22T08:00:00.000Z</LastModified>"
        f"<ETag>&quot;{_objects.held[key].tag}&quot;</ETag></Contents>"
        for key in _objects.keys(prefix)
    )
    listing = f"<ListBucketResult>{contents}<IsTruncated>false</IsTruncated></ListBucketResult>"
    return Response(f"<?xml version='1.0'?>{listing}", 200, {"Content-Type": "application/xml"})


def _store(description: dict[str, Any], data: bytes, condition: str | None) -> Response:
    if not is_intact(data, base64.b64decode(description["md5Hash"])):
        return _refuse("Provided MD5 hash does not match", 400)
    written = _objects.write(description["name"], data, description["metadata"], only_new=condition == "0")
    return _json(description) if written else _refuse("conditionNotMet", 412)


def _upload(request: Request, bucket: str) -> Response:
    if bucket != _BUCKET:
        return _refuse("The specified bucket does not exist.", 404)
    condition = request.args.get("ifGenerationMatch")
    if request.args["uploadType"] == "multipart":
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        _, first, second, _ = request.get_data().split(b"--" + boundary, 3)
        description = json.loads(first.partition(b"\r\n\r\n")[2])
        return _store(description, second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"), condition)
    number = str(next(_numbers))
    _sessions[number] = {"about": request.get_json(), "data": b"", "condition": condition}
    return Response("", 200, {"Location": f"{request.host_url}upload/session/{number}"})


def _piece(request: Request, number: str) -> Response:
    session = _sessions.get(number)
    if session is None:
        return _refuse("no such session", 404)
    if request.method == "DELETE":
        del _sessions[number]
        return Response("", 499)
    span, _, total = request.headers["Content-Range"].removeprefix("bytes ").partition("/")
    if span != "*" and int(span.partition("-")[0]) == len(session["data"]):
        session["data"] += request.get_data()
    if len(session["data"]) == int(total):
        del _sessions[number]
        return _store(session["about"], session["data"], session["condition"])
    arrived = {"Range": f"bytes=0-{len(session['data']) - 1}"} if session["data"] else {}
    return Response("", 308, arrived)


if __name__ == "__main__":
    run(answer)
