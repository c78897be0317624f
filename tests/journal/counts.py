"""What a journal counts about itself."""

from collections import Counter


class Counts:
    """A JournalMetrics that remembers."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    def written(self, event_name: str, count: int) -> None:
        self.lines[event_name] += count

    def dropped(self, reason: str, count: int) -> None:
        self.left_out[reason] += count
