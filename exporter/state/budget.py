"""How far the reports of one namespace are told apart."""

from collections.abc import Set as AbstractSet
from typing import Final

from exporter.state.profile import Outcome

SHARE: Final = 10_000
NAMED: Final = 20_000

Pair = tuple[str, Outcome | None]
"""A kind of resource and what is said of it; None for the kind itself."""


class Budget:
    """The distinct kinds and outcomes, by namespace, that are counted apart.

    Whoever may write reports in a namespace chooses kinds, policies and rules. At most ``SHARE``
    of them in a namespace have numbers of their own; so nobody fills the memory and the series
    that the others need. ``folded`` counts what was refused.
    """

    def __init__(self) -> None:
        self.folded = 0
        self._held: dict[str, dict[Pair, int]] = {}
        self._pairs: dict[Pair, Pair] = {}

    def take(self, namespace: str, pairs: AbstractSet[Pair]) -> bool:
        """Count *pairs* apart once more; False, and nothing changed, where they are too many."""
        held = self._held.get(namespace)
        if held is None:
            held = {}
        new = [pair for pair in pairs if pair not in held]
        if len(held) + len(new) > SHARE:
            self.folded += 1
            return False
        for pair in new:
            held[self._shared(pair)] = 0
        for pair in pairs:
            held[pair] += 1
        if held:
            self._held[namespace] = held
        return True

    def _shared(self, pair: Pair) -> Pair:
        """Give the one pair that all equal ones share: namespaces are much alike."""
        if len(self._pairs) >= SHARE:
            self._pairs.clear()
        return self._pairs.setdefault(pair, pair)

    def give_back(self, namespace: str, pairs: AbstractSet[Pair]) -> None:
        """Count *pairs* apart once less."""
        held = self._held.get(namespace, {})
        for pair in pairs:
            held[pair] -= 1
            if not held[pair]:
                del held[pair]
        if not held:
            self._held.pop(namespace, None)
