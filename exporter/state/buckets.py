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
        self.places: dict[Bucket, dict[Place, int]] = {}

    def add(self, bucket: Bucket, place: Place, amount: int) -> None:
        """Let *amount* more failing results of a report stand, or fewer."""
        places = self.places.get(bucket)
        if places is None:
            places = self.places[bucket] = {}
        count = places.get(place, 0) + amount
        if count:
            places[place] = count
        else:
            del places[place]
        self.counts[bucket] += amount
        if not places:
            del self.counts[bucket], self.places[bucket]
