"""Parts of an exposition, written when they are asked for."""

from collections.abc import Callable
from time import perf_counter


class Content:
    """Stands for a text: whatever has the same content, at whatever moment, says the same.

    ``size`` is its length in bytes, 0 before it was first written.
    """

    __slots__ = ("__weakref__", "size")

    def __init__(self) -> None:
        self.size = 0


class Part:
    """Some of an exposition; ``seconds`` is what it took to write, 0 when nobody asked."""

    __slots__ = ("_write", "content", "seconds")

    def __init__(self, write: Callable[[], bytes], content: Content | None = None) -> None:
        self.content = content or Content()
        self.seconds = 0.0
        self._write = write

    def text(self) -> bytes:
        """Write it."""
        began = perf_counter()
        text = self._write()
        self.seconds = perf_counter() - began
        self.content.size = len(text)
        return text
