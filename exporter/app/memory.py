"""How this process manages memory: buffers of one page are kept for the next."""

import ctypes
import gc
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_BUSY_BYTES: Final = 128 * 2**20
_QUIET_BYTES: Final = 2**20


def prepare_for_sync() -> None:
    """Collect garbage seldom, never imported objects; keep free memory for now.

    Reports and results, which come by the thousand, are never part of a cycle. By default glibc
    maps each large buffer again, at a page fault for every 4 kB: a first sync took a fifth longer.
    Other C libraries are left alone.
    """
    gc.freeze()
    gc.set_threshold(5_000, 2, 3_500)  # at most 10 ms each; old objects are left alone
    _keep(_BUSY_BYTES)


def settle_after_sync() -> None:
    """Exclude what a first sync loaded from garbage collection; return free memory.

    There is next to no garbage in it, and a full collection would hold the event loop for 0.2 s
    with 100,000 reports. It would also take dictionaries of numbers for ones without references,
    so that the first change of each would have its 100,000 entries visited again.
    """
    gc.collect(1)
    _settle()


def settle_after_reload() -> None:
    """Free what a former exporter held, which was excluded from garbage collection."""
    gc.unfreeze()
    gc.collect()
    _settle()


def _settle() -> None:
    gc.freeze()
    _keep(_QUIET_BYTES)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _keep(size: int) -> None:
    """Have glibc keep buffers of up to *size* bytes, and as many free bytes, for reuse."""
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, size)
        mallopt(_TRIM_THRESHOLD, size)
