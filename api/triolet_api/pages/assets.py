"""What browsers load: the pages, their scripts, styles and icons, read once and kept.

Nothing is built and nothing comes from elsewhere. A browser asks each time whether what it has
is still the same (`ETag`), so that a new version is there with the next page.
"""

import gzip
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Final, TypeAlias, final

from msgspec import Meta, Struct
from quart import Request, Response

from triolet._model.errors import ErrorCode, Refusal

from ..endpoints import Access, Call, endpoint
from .headers import policy
from .settings import WebSettings

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,40}\.[a-z]{2,12}\Z")]

_FOLDER: Final = "browser"
_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "ts": "text/plain; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
# Pictures are packed already.
_PACKED: Final = ("png",)
_GZIP_LEVEL: Final = 9


@final
class Asset(Struct, frozen=True):
    """One file: its bytes, whether they are sent packed, and what names them."""

    data: bytes
    is_packed: bool
    content_type: str
    etag: str


def read_assets() -> dict[str, Asset]:
    """Return the files of the browser's folder, by name."""
    found = {}
    for file in files("triolet_api").joinpath(_FOLDER).iterdir():
        kind = file.name.rpartition(".")[2]
        if file.is_file() and kind in _TYPES:
            data = file.read_bytes()
            etag = sha256(data).hexdigest()[:20]
            found[file.name] = Asset(data, kind not in _PACKED, _TYPES[kind], etag)
    return found


@cache
def packed(data: bytes) -> bytes:
    """Return an asset's bytes packed: all of them take 20 ms, which is when they are asked for.

    The longest takes 3 ms, once. As many are kept as there are files.
    """
    return gzip.compress(data, _GZIP_LEVEL, mtime=0)


@final
class Assets:
    """See the module.

    Args:
        settings: what an operator decided of browsers.
        outside: hosts that the pages load a CAPTCHA from, if there is one; else they load
            nothing that is not here.
    """

    def __init__(self, settings: WebSettings, outside: Sequence[str] = ()) -> None:
        self._assets = read_assets()
        ours = " ".join(("'self'", *outside))
        self._policy = policy(
            settings,
            script_src=ours,
            style_src=ours,
            img_src="'self' data:",
            connect_src=ours,
            frame_src=" ".join(outside) or "'none'",
            manifest_src="'self'",
            worker_src="'self'",
            form_action="'self'",
        )

    @endpoint("GET", "/", access=Access.ANYONE, rate="free", produces="text/html")
    async def chat(self, call: Call) -> Response:
        """Open the chat."""
        return self._page(call, "index.html")

    @endpoint("GET", "/admin", access=Access.ANYONE, rate="free", produces="text/html")
    async def dashboard(self, call: Call) -> Response:
        """Open the dashboard; what it shows is for admins."""
        return self._page(call, "admin.html")

    @endpoint("GET", "/sw.js", access=Access.ANYONE, rate="free", produces="text/javascript")
    async def worker(self, call: Call) -> Response:
        """Get the service worker, which shows what is pushed."""
        return self._page(call, "sw.js")

    @endpoint(
        "GET",
        "/manifest.webmanifest",
        access=Access.ANYONE,
        rate="free",
        produces="application/manifest+json",
    )
    async def manifest(self, call: Call) -> Response:
        """Get what makes the chat installable."""
        return _answer(call.request, self._assets["manifest.webmanifest"])

    @endpoint(
        "GET",
        "/assets/{name}",
        access=Access.ANYONE,
        rate="free",
        refuses=(ErrorCode.UNKNOWN_OP,),
        produces="*/*",
    )
    async def asset(self, call: Call, name: Name) -> Response:
        """Get a script, a style or an icon."""
        asset = self._assets.get(name)
        if asset is None or name.endswith(".html"):
            raise Refusal(ErrorCode.UNKNOWN_OP, "there is no such file")
        return _answer(call.request, asset)

    def _page(self, call: Call, name: str) -> Response:
        response = _answer(call.request, self._assets[name])
        response.headers["Content-Security-Policy"] = self._policy
        return response


def _answer(asked: Request, asset: Asset) -> Response:
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if asset.etag in asked.if_none_match:
        return Response(b"", 304, headers=headers)
    if asset.is_packed and asked.accept_encodings.quality("gzip") > 0:
        headers["Content-Encoding"] = "gzip"
        return Response(packed(asset.data), content_type=asset.content_type, headers=headers)
    return Response(asset.data, content_type=asset.content_type, headers=headers)
