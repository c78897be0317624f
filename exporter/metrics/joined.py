"""What rows that are exposed as one series amount to."""

from typing import Final, Literal

from exporter.state.least import Least
from exporter.state.tally import Labels

Join = Literal["sum", "least", "greatest"]
"""Numbers of things add up; of points in time the first or the last one counts."""

_SIGNS: Final = {"least": 1, "greatest": -1}


class Joined:
    """Rows that share a series, and its labels. A change costs the same however many they are."""

    __slots__ = ("_bag", "_rows", "_sign", "_sum", "labels")

    def __init__(self, labels: Labels, join: Join) -> None:
        self.labels = labels
        self._rows: dict[Labels, float] = {}
        self._sum = 0.0
        self._sign = _SIGNS.get(join, 0)
        self._bag: Least[float] = Least()

    def put(self, row: Labels, value: float | None) -> None:
        """Set a row's value; None removes the row."""
        old = self._rows.pop(row, None)
        if value is not None:
            self._rows[row] = value
        if not self._sign:
            self._sum += (value or 0) - (old or 0)
            return
        if old is not None:
            self._bag.remove(self._sign * old)
        if value is not None:
            self._bag.add(self._sign * value)

    @property
    def value(self) -> float | None:
        """Say what the rows amount to; None when there are none."""
        if not self._rows:
            return None
        least = self._bag.least
        return self._sum if least is None else self._sign * least
