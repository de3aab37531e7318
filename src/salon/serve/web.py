"""The pages of the service: the window for people, the studio for the owner, and the files they are made of.

All files are read once and live under one address that holds a digest of them all, so that browsers may keep them for
ever and still get the new ones after an update. Nothing is fetched from elsewhere, and no script or style is inline.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
"""What the pages may load and run: their own files and the API beside them."""
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

pages = APIRouter(include_in_schema=False)
"""Routes of the pages; none needs a key, since none holds data."""


@dataclass(frozen=True)
class Asset:
    """One file as it is sent.

    Attributes:
        content: Its bytes; in pages the folder of the other files stands for `static/`.
        packed: The same, compressed with gzip.
        kind: Its media type.
        tag: Its entity tag.
    """

    content: bytes
    packed: bytes
    kind: str
    tag: str


@cache
def assets(folder: Path = FOLDER) -> tuple[str, dict[str, Asset]]:
    """The digest of all files of a folder, and each by name."""
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in TYPES}
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in files.items())).hexdigest()[:16]
    return digest, {name: _asset(name, content, digest) for name, content in files.items()}


def _asset(name: str, content: bytes, digest: str) -> Asset:
    if name.endswith(".html"):
        content = content.replace(b'"static/', f'"static/{digest}/'.encode())
    tag = hashlib.sha256(content).hexdigest()[:24]
    return Asset(content, gzip.compress(content, mtime=0), TYPES[Path(name).suffix], f'"{tag}"')


def _send(request: Request, name: str, keep: str) -> Response:
    """A file, or 304 where the browser has it already, or 404."""
    asset = assets()[1].get(name)
    if asset is None:
        return Response("There is no such page.", 404, media_type="text/plain")
    headers = {
        "Cache-Control": keep,
        "ETag": asset.tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "same-origin",
    }
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(asset.packed if packed else asset.content, 200, headers, asset.kind)


@pages.api_route("/", methods=["GET", "HEAD"])
def window(request: Request) -> Response:
    """The page on which people find things."""
    return _send(request, "window.html", ASK_AGAIN)


@pages.api_route("/studio", methods=["GET", "HEAD"])
def studio(request: Request) -> Response:
    """The page of the owner."""
    return _send(request, "studio.html", ASK_AGAIN)


@pages.api_route("/favicon.ico", methods=["GET", "HEAD"])
def icon(request: Request) -> Response:
    """The mark of salon."""
    return _send(request, "icon.svg", ASK_AGAIN)


@pages.api_route("/static/{digest}/{name}", methods=["GET", "HEAD"])
def static(request: Request, digest: str, name: str) -> Response:
    """A file of the pages; one that is asked for by an old page may not be kept."""
    return _send(request, name, FOR_EVER if digest == assets()[0] else ASK_AGAIN)
