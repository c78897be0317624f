"""A gate before an API server: it can be shut on whoever comes through it, and on nobody else."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.harness import ControlPlane
from tests.tools import free_port

CHUNK_BYTES = 2**16
PATIENCE_SECONDS = 10
SETTLE_SECONDS = 0.02


class Gate:
    """Relays TCP to a control plane on a port that stays its own while it is shut.

    Its methods are called from other threads than the loop's.
    """

    def __init__(self, plane: ControlPlane, loop: asyncio.AbstractEventLoop) -> None:
        self.port = free_port()
        self._server = plane.server
        self._behind = urlsplit(plane.server).port
        self._loop = loop
        self._listening: asyncio.Server | None = None
        self._relays: dict[asyncio.Task[object], list[asyncio.StreamWriter]] = {}

    def kubeconfig(self, original: Path) -> Path:
        """Write a copy of a kubeconfig that leads through the gate."""
        text = original.read_text(encoding="utf-8")
        copy = original.with_name(f"{self.port}-{original.name}")
        copy.write_text(
            text.replace(self._server, f"https://127.0.0.1:{self.port}"), encoding="utf-8"
        )
        return copy

    def open(self) -> None:
        """Let everybody through."""
        self._call(self._open())

    def shut(self) -> None:
        """Refuse new connections and reset those that stand."""
        self._call(self._shut())

    def cut(self) -> None:
        """Reset all connections that stand."""
        self._call(self._cut())

    def _call(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _open(self) -> None:
        self._listening = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._listening is not None:
            # asyncio 3.11 loses a connection that it has accepted but not yet set up when its
            # server closes: accept no more, let those be set up, and close then.
            for sock in self._listening.sockets:
                self._loop.remove_reader(sock.fileno())
            await asyncio.sleep(SETTLE_SECONDS)
            self._listening.close()
        await self._cut()
        while self._relays:  # accepted before, and only now a relay
            await self._cut()

    async def _cut(self) -> None:
        # What was accepted in this very moment takes some turns of the loop to become a relay.
        await asyncio.sleep(SETTLE_SECONDS)
        cut = set(self._relays)
        while standing := cut & set(self._relays):
            # Again and again: a relay that was still reaching for its far end has one now.
            for task in standing:
                for writer in self._relays[task]:
                    writer.transport.abort()
            await asyncio.wait(standing, timeout=SETTLE_SECONDS)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection; it is known, and so can be cut, until both ends are closed."""
        task = asyncio.current_task()
        assert task is not None
        writers = self._relays[task] = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            writers.append(far_writer)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            writer.transport.abort()
        finally:
            for each in writers:
                each.close()
            await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)
            del self._relays[task]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until there is no more, or either end is reset."""
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    else:
        writer.close()


@contextmanager
def gate_to(plane: ControlPlane) -> Iterator[Gate]:
    """Run an open gate before a control plane."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gate")
    thread.start()
    gate = Gate(plane, loop)
    try:
        gate.open()
        yield gate
    finally:
        gate.shut()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
