"""A sink that mirrors what it is told, and an observer that remembers."""

from collections import Counter

from exporter.model.changes import Applied, Change, Deleted, Init, InitDone, Scope

Name = tuple[str, str]


class Mirror:
    """What a cluster holds, according to the changes; ``versions`` by scope and name."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.versions: dict[Scope, dict[Name, str]] = {}
        self.swept: list[set[Name]] = []
        self._listed: dict[Scope, set[Name]] = {}

    def __call__(self, change: Change) -> None:
        self.changes.append(change)
        held = self.versions.setdefault(change.scope, {})
        match change:
            case Init(scope):
                self._listed[scope] = set()
            case Applied(scope, each):
                name = (each.namespace, each.name)
                held[name] = each.version
                self._listed.setdefault(scope, set()).add(name)
            case Deleted(_, each):
                held.pop((each.namespace, each.name), None)
            case InitDone(scope):
                gone = held.keys() - self._listed.pop(scope)
                self.swept.append(set(gone))
                for name in gone:
                    del held[name]

    @property
    def names(self) -> set[str]:
        """The names of everything held."""
        return {name for held in self.versions.values() for _, name in held}

    def kinds(self) -> list[str]:
        """The changes in short: Init, Applied a, Deleted a, InitDone."""
        return [
            f"{type(each).__name__} {each.object.name}"
            if isinstance(each, Applied | Deleted)
            else type(each).__name__
            for each in self.changes
        ]


class Counts:
    """An Observer that counts, by what it was told."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.changes: Counter[str] = Counter()
        self.relists: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()

    def request(self, resource: str, verb: str, code: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests[resource, verb, code] += 1

    def change(self, resource: str, kind: str, count: int = 1) -> None:
        self.changes[kind] += count

    def relist(self, resource: str, reason: str) -> None:
        self.relists[reason] += 1

    def restart(self, resource: str, reason: str) -> None:
        self.restarts[reason] += 1

    def skipped(self, resource: str, reason: str) -> None:
        self.skips[reason] += 1
