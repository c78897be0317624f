"""The style sheet, script and icon of the status page, named by what is in them."""

import hashlib
from importlib import resources

from aiohttp import hdrs, web

from exporter.web.respond import answer

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# The name changes with the content, so that a browser need never ask again.
_FOREVER: dict[str, str] = {hdrs.CACHE_CONTROL: "public, max-age=31536000, immutable"}


class Assets:
    """The files under static/, read once."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, str]] = {}
        self._urls: dict[str, str] = {}
        for file in sorted(resources.files(__package__).joinpath("static").iterdir(), key=str):
            stem, _, suffix = file.name.rpartition(".")
            if suffix in _TYPES:
                text = file.read_text("utf-8")
                digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
                self._files[f"{stem}.{digest}.{suffix}"] = (text, _TYPES[suffix])
                self._urls[file.name] = f"/static/{stem}.{digest}.{suffix}"

    def url(self, name: str) -> str:
        """Give the path under which a file is served."""
        return self._urls[name]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer /static/{name}."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return await answer(request, *found, headers=_FOREVER)
