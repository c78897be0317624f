"""The stream of a watch, and what may befall it."""

import asyncio
import socket
import struct
from collections.abc import Sequence

from aiohttp import web
from isal import isal_zlib

from exporter.simulator.watches import SimulatedLine
from tests.apiserver import faults
from tests.apiserver.faults import Fault


class Ended(Exception):  # noqa: N818 - the stream is over, on purpose
    """A fault has ended the stream; nothing more is to be sent."""


class Wire:
    """Writes lines, and lets each ordered fault strike at its line. ``sent`` counts whole lines."""

    def __init__(self, request: web.Request, struck: Sequence[Fault]) -> None:
        self._request = request
        self._faults = list(struck)
        self._gzip = isal_zlib.compressobj(1, wbits=31) if faults.Gzip() in struck else None
        self._earlier: dict[str, bytes] = {}
        headers = {"Content-Type": "application/json"}
        if self._gzip:
            headers["Content-Encoding"] = "gzip"
        self.response = web.StreamResponse(headers=headers)
        self.sent = 0

    async def open(self) -> None:
        """Send the header, and whatever is ordered before the first line."""
        await self.response.prepare(self._request)
        # A client must see that the watch is open although nothing happens.
        await self._write(b"")
        await self._after()

    async def send(self, line: SimulatedLine) -> None:
        """Send one line, or what the faults make of it. Raises Ended."""
        for raw in await self._befallen(line):
            await self._write(raw)
        self.sent += 1
        await self._after()

    async def _befallen(self, line: SimulatedLine) -> list[bytes]:
        for fault in [each for each in self._faults if getattr(each, "after", -1) == self.sent]:
            match fault:
                case faults.CutLine(_, reset):
                    await self._write(line.raw[: len(line.raw) // 2])
                    await self._end(reset=reset)
                case faults.Repeat():
                    return [line.raw, line.raw]
                case _:
                    pass
        for fault in self._faults:
            if (
                isinstance(fault, faults.Lose)
                and fault.type == line.type
                and fault.after <= self.sent
            ):
                self._faults.remove(fault)
                return []
        return [line.raw, *self._late(line)]

    def _late(self, line: SimulatedLine) -> list[bytes]:
        fault = next((each for each in self._faults if isinstance(each, faults.Late)), None)
        if not fault or line.type not in ("ADDED", "MODIFIED"):
            return []
        earlier = self._earlier.get(line.key)
        self._earlier[line.key] = line.raw
        if earlier is None or self.sent < fault.after:
            return []
        self._faults.remove(fault)
        return [earlier.replace(b'"ADDED"', b'"MODIFIED"', 1)]

    async def _after(self) -> None:
        for fault in [each for each in self._faults if getattr(each, "after", -1) == self.sent]:
            match fault:
                case faults.Inject(lines):
                    self._faults.remove(fault)
                    for raw in lines:
                        await self._write(raw)
                case faults.Stall():
                    await asyncio.Event().wait()
                case faults.End(_, reset):
                    await self._end(reset=reset)
                case _:
                    pass

    async def _end(self, *, reset: bool) -> None:
        if reset:
            abort(self._request)
        raise Ended

    async def _write(self, raw: bytes) -> None:
        if self._gzip:
            raw = self._gzip.compress(raw) + self._gzip.flush(isal_zlib.Z_SYNC_FLUSH)
        await self.response.write(raw)


def abort(request: web.Request) -> None:
    """Drop the connection with RST, as a dying proxy does."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
