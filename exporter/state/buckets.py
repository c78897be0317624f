"""Where failing results stand, by severity and namespace: a page of them need not look at all."""

from collections import Counter
from typing import NamedTuple

from exporter.state.shelf import Place


class Bucket(NamedTuple):
    """Failing results of one severity in one namespace."""

    severity: str
    namespace: str


class Buckets:
    """How many failing results each bucket has, and how many of them each report brings.

    What is zero is not there: ``counts`` and ``places`` have the same keys.
    """

    def __init__(self) -> None:
        self.counts: Counter[Bucket] = Counter()
        self.places: dict[Bucket, Counter[Place]] = {}

    def add(self, bucket: Bucket, place: Place, amount: int) -> None:
        """Let *amount* more failing results of a report stand, or fewer."""
        self.counts[bucket] += amount
        places = self.places.setdefault(bucket, Counter())
        places[place] += amount
        if not places[place]:
            del places[place]
        if not self.counts[bucket]:
            del self.counts[bucket], self.places[bucket]
