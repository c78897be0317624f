"""A connection whose answer does not end, while it brings little at a time."""

from typing import Final

import aiohttp

from exporter.kube.transport import READ_BYTES

MUCH: Final = READ_BYTES * 3 // 4
"""Bytes at once that say that more is waiting than is read."""

CALM: Final = 20
"""Times that less than that must come before a stream is thought to bring little."""


class Stream:
    """Keeps a connection's file descriptor among *streams* as long as that is true.

    Where much is waiting nobody should wait for more: a list that comes by a watch, a burst.
    """

    def __init__(self, response: aiohttp.ClientResponse, streams: set[int]) -> None:
        connection = response.connection  # none once the answer has ended
        transport = connection.transport if connection is not None else None
        sock = transport.get_extra_info("socket") if transport is not None else None
        self._descriptor: int = -1 if sock is None else sock.fileno()
        self._streams = streams
        self._calm = 0

    def brought(self, size: int) -> None:
        """Note how much came at once, in bytes."""
        if size >= MUCH:
            self._calm = 0
            self.end()
        elif self._calm < CALM:
            self._calm += 1
        elif self._descriptor >= 0:
            self._streams.add(self._descriptor)

    def end(self) -> None:
        """Take it away: the number may soon be another connection's."""
        self._streams.discard(self._descriptor)
