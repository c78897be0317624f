"""How this process treats memory: what comes and goes by the page is kept for the next page."""

import ctypes
import gc
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 128 * 2**20


def keep_calm() -> None:
    """Collect garbage seldom, and never what was imported; give no page of memory back at once.

    Objects that come by the thousand here (reports, results) are never part of a cycle. glibc asks
    the kernel anew for each large buffer, which costs a page fault for every 4 kB that is read: a
    first sync took a fifth longer with its defaults. Elsewhere this changes nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def settle_down() -> None:
    """Let no collection walk what is known after a first sync, and give the rest back."""
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
