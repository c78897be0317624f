"""Lines written to a file or to standard output, by a thread that may be blocked."""

import logging
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

log = logging.getLogger(__name__)

STANDARD_OUTPUT: Final = "-"
RETRY_SECONDS: Final = 1.0
"""The pause after a write that failed: a full disk, a reader that is gone."""

_BURST_LINES: Final = 512
_GATHER_SECONDS: Final = 0.05
"""How long a line waits for others: to wake the thread for each takes ten times its CPU."""

_MODE: Final = 0o640


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a file is renamed to FILE.1, FILE.1 to FILE.2, and how many of these are kept.

    Only regular files are rotated.
    """

    bytes: Annotated[int, msgspec.Meta(ge=65_536)] = 64 * 2**20
    keep: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5


class Target(NamedTuple):
    """Where lines go; with *sync* they survive a power failure once they count as written."""

    file: str
    rotation: Rotation = Rotation()
    sync: bool = False


def open_target(file: str) -> int:
    """Open a file to append to, or standard output.

    A FIFO is opened for both directions, which does not wait for its reader.

    Raises:
        OSError: it cannot be opened.
    """
    if file == STANDARD_OUTPUT:
        return os.dup(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)


class Sink:
    """An open target. A line that was written in part is ended before the next one."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._fd = -1
        self._is_file = False
        self._is_torn = False
        self._size = 0
        self._unrotated = 0

    def write(self, lines: list[bytes]) -> int:
        """Append lines; return how many are written whole, and then no later one is.

        Raises:
            OSError: not even the first could be written.
        """
        self._prepare(len(lines[0]))
        lines = lines[: self._room(lines)]
        data = memoryview(b"\n" * self._is_torn + b"".join(lines))
        ends = list(accumulate(map(len, lines), initial=int(self._is_torn)))
        done, error = 0, None
        try:
            while done < len(data):
                done += self._write_some(data[done:])
        except OSError as failed:
            error = failed
        self._size += done
        whole = sum(end <= done for end in ends) - 1
        if done:
            self._is_torn = done != ends[max(whole, 0)]
        if error is not None and whole <= 0:
            raise error
        if self._is_file and self.target.sync:
            os.fdatasync(self._fd)
        return whole

    def close(self) -> None:
        """Close the target; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:  # standard output may be shared with one who set it so
            select.select([], [self._fd], [], RETRY_SECONDS)
            return 0

    def _prepare(self, size: int) -> None:
        """Have the file open that has the name, with room for *size* bytes."""
        if self._is_file and self._was_renamed():
            self.close()
        if self._fd < 0:
            self._open()
        if self._is_file and self._size + size > self.target.rotation.bytes and self._rotate():
            self._open()

    def _room(self, lines: list[bytes]) -> int:
        """Count the lines that fit before the file is rotated, at least one."""
        if not self._is_file:
            return len(lines)
        left = self.target.rotation.bytes - self._size
        return max(sum(end <= left for end in accumulate(map(len, lines))), 1)

    def _open(self) -> None:
        self._fd = open_target(self.target.file)
        status = os.fstat(self._fd)
        self._is_file = stat.S_ISREG(status.st_mode) and self.target.file != STANDARD_OUTPUT
        self._size, self._unrotated = status.st_size if self._is_file else 0, 0
        if self._is_file:
            self._is_torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _was_renamed(self) -> bool:
        """Whether the name is that of another file now: logrotate, or a user who removed it."""
        if self._fd < 0:
            return False
        try:
            named = Path(self.target.file).stat()
        except OSError:
            return True
        opened = os.fstat(self._fd)
        self._size = max(opened.st_size - self._unrotated, 0)
        return not os.path.samestat(named, opened)

    def _rotate(self) -> bool:
        path, keep = Path(self.target.file), self.target.rotation.keep
        try:
            for number in range(keep - 1, 0, -1):
                with suppress(FileNotFoundError):
                    _numbered(path, number).replace(_numbered(path, number + 1))
            path.replace(_numbered(path, 1))
        except OSError as error:
            log.warning("journal %s: cannot be rotated: %s", path, error.strerror)
            self._unrotated += self._size  # tried again after as many bytes
            self._size = 0
            return False
        self.close()
        return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


class LineWriter:
    """A thread that writes lines in order; what it was given and has not written stays its own.

    ``put``, ``written``, ``reopen`` and the ways to end are for one other thread, and never wait.
    """

    def __init__(self, target: Target) -> None:
        self.written = 0
        self._sink = Sink(target)
        self._lines: deque[bytes] = deque()
        self._news = threading.Condition()
        self._pause = threading.Event()
        self._is_finishing = False
        self._is_abandoned = False
        self._must_reopen = False
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def target(self) -> Target:
        """Where lines go."""
        return self._sink.target

    def put(self, lines: Iterable[bytes]) -> None:
        """Queue lines."""
        with self._news:
            self._lines.extend(lines)
            self._news.notify()

    def retarget(self, target: Target) -> None:
        """Take other settings for the same file."""
        self._sink.target = target

    def reopen(self) -> None:
        """Close the file before the next line, and open the one of its name."""

        def reopen() -> None:
            self._must_reopen = True

        self._change(reopen)
        self._pause.set()

    def finish(self) -> None:
        """End once all lines are written."""

        def finish() -> None:
            self._is_finishing = True

        self._change(finish)
        self._pause.set()

    def abandon(self) -> None:
        """End after the write that is in progress, whatever is left."""
        self._is_abandoned = True
        self.finish()

    def join(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _change(self, change: Callable[[], object]) -> None:
        with self._news:
            change()
            self._news.notify()

    def _run(self) -> None:
        while lines := self._next():
            try:
                whole = self._sink.write(lines)
            except OSError as error:
                self._failed(error)
                continue
            for _ in range(whole):
                self._lines.popleft()
            self.written += whole
            if self._complaint:
                log.info("journal %s: lines can be written again", self.target.file)
                self._complaint = ""
        self._sink.close()

    def _next(self) -> list[bytes]:
        """Wait for lines; none at the end."""
        with self._news:
            self._news.wait_for(lambda: self._lines or self._is_finishing or self._must_reopen)
            if self._must_reopen:
                self._must_reopen = False
                self._sink.close()
                self._news.wait_for(lambda: self._lines or self._is_finishing)
        self._pause.clear()
        if len(self._lines) < _BURST_LINES and not self._is_finishing:
            self._pause.wait(_GATHER_SECONDS)
        with self._news:
            if self._is_abandoned:
                return []
            return [self._lines[at] for at in range(min(len(self._lines), _BURST_LINES))]

    def _failed(self, error: OSError) -> None:
        self._sink.close()
        complaint = error.strerror or str(error)
        if complaint != self._complaint:
            self._complaint = complaint
            log.error(
                "journal %s: %s; metrics are not affected, and lines wait in memory up to a limit",
                self.target.file,
                complaint,
            )
        self._pause.clear()
        if not self._is_abandoned:
            self._pause.wait(RETRY_SECONDS)
