"""A stand-in of Azure Blob Storage, written from its REST reference; for tests where Azurite is not at hand.

It checks no signature. https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-rest-api
"""

import base64
from xml.sax.saxutils import escape

from werkzeug import Request, Response

from tests.stores.standin import Objects, give, is_intact, run

_objects = Objects()
_blocks: dict[str, dict[str, bytes]] = {}
_CONTAINER = "models"


def _refuse(code: str, status: int) -> Response:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Response(body, status, {"x-ms-error-code": code, "Content-Type": "application/xml"})


def answer(request: Request) -> Response:
    _, _, container, *rest = request.path.split("/", 3)
    if container != _CONTAINER:
        return _refuse("ContainerNotFound", 404)
    if not rest:
        return _container(request)
    key = rest[0]
    component = request.args.get("comp")
    if request.method == "PUT":
        return {"block": _put_block, "blocklist": _commit}.get(component or "", _put_blob)(request, key)
    if request.method == "DELETE":
        return Response("", 202) if _objects.held.pop(key, None) else _refuse("BlobNotFound", 404)
    if component == "blocklist":
        return _list_blocks(key)
    found = _objects.held.get(key)
    if found is None:
        return _refuse("BlobNotFound", 404)
    metadata = {f"x-ms-meta-{name}": value for name, value in found.metadata.items()}
    wanted = request.headers.get("x-ms-range") or request.headers.get("Range")
    return give(found, request, wanted, {"x-ms-blob-type": "BlockBlob", **metadata})


def _container(request: Request) -> Response:
    if request.args.get("comp") != "list":
        public = {"x-ms-blob-public-access": _objects.public} if _objects.public else {}
        return Response("", 200, {"ETag": '"1"', "Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT", **public})
    prefix = request.args.get("prefix", "")
    blobs = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties>"
        "<Last-Modified>Sun, 22 Nov 2026 08:00:00 GMT</Last-Modified>"
        f"<Etag>{_objects.held[key].tag}</Etag><Content-Length>{len(_objects.held[key].data)}"
        "</Content-Length><Content-Type>x</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for key in _objects.keys(prefix)
    )
    body = (
        f"<?xml version='1.0'?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
    )
    return Response(body, 200, {"Content-Type": "application/xml"})


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-ms-meta-"
    headers = ((name.lower(), value) for name, value in request.headers.items())
    return {name.removeprefix(prefix): value for name, value in headers if name.startswith(prefix)}


def _written(request: Request, key: str, data: bytes) -> Response:
    only_new = request.headers.get("If-None-Match") == "*"
    if not _objects.write(key, data, _metadata(request), only_new=only_new):
        return _refuse("BlobAlreadyExists", 409)
    tag = f'"{_objects.held[key].tag}"'
    return Response("", 201, {"ETag": tag, "Last-Modified": "Sun, 22 Nov 2026 08:00:00 GMT"})


def _put_blob(request: Request, key: str) -> Response:
    data = request.get_data()
    if not is_intact(data, base64.b64decode(request.headers["Content-MD5"])):
        return _refuse("Md5Mismatch", 400)
    return _written(request, key, data)


def _put_block(request: Request, key: str) -> Response:
    data = request.get_data()
    if not is_intact(data, base64.b64decode(request.headers["Content-MD5"])):
        return _refuse("Md5Mismatch", 400)
    _blocks.setdefault(key, {})[request.args["blockid"]] = data
    return Response("", 201)


def _list_blocks(key: str) -> Response:
    if key not in _blocks and key not in _objects.held:
        return _refuse("BlobNotFound", 404)
    names = "".join(
        f"<Block><Name>{name}</Name><Size>{len(data)}</Size></Block>"
        for name, data in _blocks.get(key, {}).items()
    )
    blocks = f"<CommittedBlocks/><UncommittedBlocks>{names}</UncommittedBlocks>"
    return Response(
        f"<?xml version='1.0'?><BlockList>{blocks}</BlockList>", 200, {"Content-Type": "application/xml"}
    )


def _commit(request: Request, key: str) -> Response:
    text = request.get_data(as_text=True)
    names = [part.partition("</Latest>")[0] for part in text.split("<Latest>")[1:]]
    known = _blocks.get(key, {})
    if not all(name in known for name in names):
        return _refuse("InvalidBlockList", 400)
    written = _written(request, key, b"".join(known[name] for name in names))
    if written.status_code == 201:
        _blocks.pop(key, None)
    return written


if __name__ == "__main__":
    run(answer)
