"""An object in memory that behaves as one of an API server, and whose answers can be lost."""

from collections.abc import Mapping
from typing import NamedTuple

from exporter.errors import NotServed, Refused, Unavailable, error_of_status


class Stored(NamedTuple):
    version: str
    annotations: Mapping[str, str]
    content: bytes = b""


class MemoryObject:
    """Implements ObjectApi. ``fails`` says what becomes of the next calls, in order.

    "away" and "unauthorized": nothing was done. "lost": it was done, and the answer is lost.
    """

    def __init__(self) -> None:
        self.name = "ns/state"
        self.stored = Stored("1", {})
        self.fails: list[str] = []
        self.missing = False
        self.writes: list[bytes] = []
        self.reads = 0

    async def head(self) -> Stored:
        self._befall()
        return self.stored._replace(content=b"")

    async def get(self) -> Stored:
        self.reads += 1
        self._befall()
        return self.stored

    async def replace(
        self, version: str, annotations: Mapping[str, str], content: bytes | None = None
    ) -> Stored:
        lost = self.fails[:1] == ["lost"]
        if lost:
            self.fails.pop(0)
        self._befall()
        if version != self.stored.version:
            raise error_of_status(409, "the object has been modified (409)")
        self._put({**self.stored.annotations, **annotations}, content)
        if content is not None:
            self.writes.append(content)
        if lost:
            raise Unavailable("no answer in time")
        return self.stored._replace(content=b"")

    def touch(self) -> None:
        """Change the object as a person does who sets a label."""
        self._put(self.stored.annotations, None)

    def put(self, content: bytes, writer: str) -> None:
        """Write it as another process does."""
        notes = {"policy-report-exporter/writer": writer, "policy-report-exporter/active": "true"}
        self._put(notes, content)

    def _put(self, annotations: Mapping[str, str], content: bytes | None) -> None:
        kept = self.stored.content if content is None else content
        self.stored = Stored(str(int(self.stored.version) + 1), annotations, kept)

    def _befall(self) -> None:
        if self.missing:
            raise NotServed("configmaps is not found (404)", 404)
        match self.fails.pop(0) if self.fails else "":
            case "away":
                raise Unavailable("connection refused")
            case "unauthorized":
                raise Refused("Unauthorized (401)", 401)
