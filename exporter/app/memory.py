"""How this process treats memory: what comes and goes by the page is kept for the next page."""

import ctypes
import gc
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_BUSY_BYTES: Final = 128 * 2**20
_QUIET_BYTES: Final = 2**20


def keep_calm() -> None:
    """Collect garbage seldom, and never what was imported; give no memory back for now.

    Objects that come by the thousand here (reports, results) are never part of a cycle. glibc asks
    the kernel anew for each large buffer, which costs a page fault for every 4 kB that is read: a
    first sync took a fifth longer with its defaults. Elsewhere this changes nothing.
    """
    gc.freeze()
    gc.set_threshold(5_000, 6, 1_500)  # some milliseconds a time; the old are left alone for long
    _keep(_BUSY_BYTES)


def settle_down() -> None:
    """Let no collection walk what is known after a first sync; give back what is not needed."""
    gc.collect()
    gc.freeze()
    _keep(_QUIET_BYTES)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _keep(size: int) -> None:
    """Let glibc keep buffers of up to *size* bytes, and as much that is free, for the next time."""
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, size)
        mallopt(_TRIM_THRESHOLD, size)
