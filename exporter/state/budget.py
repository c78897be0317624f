"""How far the reports of one namespace are told apart."""

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Final

from exporter.state.profile import Outcome

SHARE: Final = 10_000
NAMED: Final = 20_000

Said = AbstractSet[Outcome | None]
"""What is said of a kind of resources; None stands for the kind itself."""


class Budget:
    """The distinct kinds and what is said of each, by namespace, that are counted apart.

    Whoever may write reports in a namespace chooses kinds, policies and rules. At most ``SHARE``
    of them in a namespace have numbers of their own; so nobody fills the memory and the series
    that the others need. ``folded`` counts what was refused.
    """

    def __init__(self) -> None:
        self.folded = 0
        self._held: dict[tuple[str, str], dict[Outcome | None, int]] = {}
        self._sizes: Counter[str] = Counter()

    def take(self, namespace: str, kind: str, said: Said) -> bool:
        """Count what is *said* apart once more; False, and nothing changed, if it is too much."""
        held = self._held.get((namespace, kind), {})
        new = len(said - held.keys())
        if self._sizes[namespace] + new > SHARE:
            self.folded += 1
            return False
        if said:
            self._sizes[namespace] += new
            self._held[namespace, kind] = held
        for each in said:
            held[each] = held.get(each, 0) + 1
        return True

    def give_back(self, namespace: str, kind: str, said: Said) -> None:
        """Count what is *said* apart once less."""
        held = self._held.get((namespace, kind), {})
        for each in said:
            held[each] -= 1
            if not held[each]:
                del held[each]
                self._sizes[namespace] -= 1
        if not held:
            self._held.pop((namespace, kind), None)
        if not self._sizes[namespace]:
            del self._sizes[namespace]
