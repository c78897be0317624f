"""Places that keep a checkpoint, and the first: a file, replaced as a whole, or not at all."""

import asyncio
import fcntl
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Final, Protocol

from exporter.checkpoint.format import Checkpoint, encode
from exporter.errors import StateError

log = logging.getLogger(__name__)

NAME: Final = "checkpoint.json"
LOCK: Final = "lock"
_HOLDER_BYTES: Final = 300


REFRESH_SECONDS: Final = 60.0
"""A checkpoint is renewed this often even when only the resourceVersion has moved on."""


class CheckpointStore(Protocol):
    """A place that keeps one checkpoint: a directory, or an object of the cluster.

    ``name`` is for messages, ``bytes_written`` the size of the last checkpoint. It is renewed after
    ``refresh_seconds`` even if nothing was counted; the next must wait for ``pause_seconds``.
    """

    name: str
    bytes_written: int
    refresh_seconds: float

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next ``save``."""
        ...

    async def open(self) -> bytes | None:
        """Read the checkpoint; None where there is none.

        Raises:
            StateError: this place cannot be used.
        """
        ...

    async def save(self, checkpoint: Checkpoint) -> Checkpoint:
        """Make a checkpoint durable; return what of it is.

        Raises:
            OvertakenError: another process has written one meanwhile.
            StateError: it is not durable.
        """
        ...

    async def set_aside(self, reason: str) -> str:
        """Keep what cannot be used; return where.

        Raises:
            StateError: it cannot be kept.
        """
        ...

    async def close(self) -> None:
        """Let another process write."""
        ...

    def release(self) -> None:
        """Let another process use this place."""
        ...


class StateFile:
    """A checkpoint in a directory. Methods that are no coroutines block: call them in a thread.

    Of writes that meet, one waits for the other: a task that is cancelled leaves its thread behind.
    """

    refresh_seconds = REFRESH_SECONDS
    pause_seconds = 0.0

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self.name = f"--state.dir {directory}"
        self.bytes_written = 0
        self._directory = directory
        self._turn = threading.Lock()
        self._lock: int | None = None

    async def open(self) -> bytes | None:
        """Lock the directory and read the checkpoint; None where there is none.

        Raises:
            StateError: it cannot be used, or another process uses it.
        """
        await asyncio.to_thread(self.prepare)
        return await asyncio.to_thread(self.read)

    async def save(self, checkpoint: Checkpoint) -> Checkpoint:
        """Replace the checkpoint; when this returns it survives a power failure.

        Raises:
            StateError: the old one stays.
        """
        body = await asyncio.to_thread(encode, checkpoint)
        await asyncio.to_thread(self.write, body)
        self.bytes_written = len(body)
        return checkpoint

    async def set_aside(self, reason: str) -> str:
        """Keep a checkpoint that cannot be used under another name, and return that.

        Raises:
            StateError: it cannot be renamed.
        """
        return str(await asyncio.to_thread(self._set_aside, reason))

    async def close(self) -> None:
        """Nothing is left to do: ``release`` and the end of the process free the lock."""

    def prepare(self) -> None:
        """Make the directory, lock it against other processes and prove that it can be written.

        Raises:
            StateError: it cannot, or another process uses it.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            probe = self._directory / f"{NAME}.probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StateError(f"--state.dir {self._directory}: {error.strerror}") from error

    def release(self) -> None:
        """Leave the directory to another process."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        """Hold the lock until ``release`` or the end of the process, however that comes."""
        if self._lock is not None:
            return
        lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, _HOLDER_BYTES).decode("utf-8", "replace").strip()
            os.close(lock)
            raise StateError(
                f"--state.dir {self._directory}: in use by {holder or 'another process'};"
                " each exporter needs a directory of its own"
            ) from error
        except OSError as error:
            os.close(lock)
            log.warning("%s: cannot be locked: %s", self._directory, error.strerror)
            return
        os.ftruncate(lock, 0)
        os.write(lock, f"process {os.getpid()} on host {socket.gethostname()}\n".encode())
        self._lock = lock

    def read(self) -> bytes | None:
        """Read the checkpoint; None where there is none.

        Raises:
            StateError: it is there and cannot be read.
        """
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from error

    def write(self, body: bytes) -> None:
        """Replace the checkpoint; when this returns it survives a power failure.

        Raises:
            StateError: the old one stays.
        """
        new = self._directory / f"{NAME}.new"
        try:
            with self._turn, new.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
                new.replace(self.path)
                self._sync_directory()
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from error

    def _set_aside(self, suffix: str) -> Path:
        aside = self.path.with_name(f"{NAME}.{suffix}")
        try:
            self.path.replace(aside)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from error
        return aside

    def _sync_directory(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
