"""Cut a stream of chunks into lines, of which none may be too long."""


class Lines:
    """Cuts chunks into lines. Holds at most ``limit`` bytes of a line that has not ended.

    What follows the last newline of a stream is never a line: its end was lost.
    """

    def __init__(self, limit: int) -> None:
        self.too_long = 0
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the lines that ended in it, without newlines and empty ones."""
        start = chunk.find(b"\n") + 1
        if not start:
            self._hold(chunk)
            return []
        self._hold(chunk[: start - 1])
        lines = [self._release()]
        while end := chunk.find(b"\n", start) + 1:  # split() looks at each byte by itself
            lines.append(chunk[start : end - 1])
            start = end
        self._hold(chunk[start:])
        return [line for line in lines if line and self._is_short(line)]

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _release(self) -> bytes:
        self.too_long += self._held > self._limit
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _is_short(self, line: bytes) -> bool:
        self.too_long += len(line) > self._limit
        return len(line) <= self._limit
