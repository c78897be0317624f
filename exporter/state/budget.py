"""How many outcomes in reports of one namespace are counted separately."""

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Final

from exporter.state.profile import Outcome

MAX_OUTCOMES_PER_NAMESPACE: Final = 10_000
MAX_NAMED_PER_NAMESPACE: Final = 20_000
"""Resources that results (not ``scope``) name."""

OutcomeSet = AbstractSet[Outcome | None]
"""The distinct outcomes of one kind; None is the kind itself."""


class Budget:
    """The distinct kinds and their outcomes, by namespace, that are counted separately.

    The author of a report chooses its kinds, policies and rules. At most
    MAX_OUTCOMES_PER_NAMESPACE of them have numbers of their own, so that no namespace uses up the
    memory and the series that others need. ``folded`` counts refusals.
    """

    def __init__(self) -> None:
        self.folded = 0
        self._held: dict[tuple[str, str], dict[Outcome | None, int]] = {}
        self._sizes: Counter[str] = Counter()

    def take(self, namespace: str, kind: str, outcomes: OutcomeSet) -> bool:
        """Count outcomes separately once more; False, and nothing changed, if they are too many."""
        held = self._held.get((namespace, kind), {})
        new = len(outcomes - held.keys())
        if self._sizes[namespace] + new > MAX_OUTCOMES_PER_NAMESPACE:
            self.folded += 1
            return False
        if outcomes:
            self._sizes[namespace] += new
            self._held[namespace, kind] = held
        for each in outcomes:
            held[each] = held.get(each, 0) + 1
        return True

    def give_back(self, namespace: str, kind: str, outcomes: OutcomeSet) -> None:
        """Count outcomes separately once less."""
        held = self._held.get((namespace, kind), {})
        for each in outcomes:
            held[each] -= 1
            if not held[each]:
                del held[each]
                self._sizes[namespace] -= 1
        if not held:
            self._held.pop((namespace, kind), None)
        if not self._sizes[namespace]:
            del self._sizes[namespace]
