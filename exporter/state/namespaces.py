"""The namespaces and their labels."""

from exporter.model.metadata import Namespace
from exporter.model.report import clip
from exporter.state.tally import Gauge


class Namespaces:
    """Chosen labels of each namespace; ``changed`` names namespaces whose labels changed."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self.info = Gauge()
        self.labels: dict[str, tuple[str, ...]] = {}
        self.changed: set[str] = set()
        self._wanted = wanted
        self._unlisted: set[str] = set()

    def apply(self, namespace: Namespace) -> None:
        """Know a namespace as it is now."""
        self._unlisted.discard(namespace.name)
        labels = tuple(clip(namespace.labels.get(name, "")) for name in self._wanted)
        self.info.put((namespace.name,), 1)
        if self.labels.get(namespace.name) != labels:
            self.labels[namespace.name] = labels
            self.changed.add(namespace.name)

    def delete(self, name: str) -> None:
        """Forget a namespace."""
        self.info.put((name,), None)
        if self.labels.pop(name, None) is not None:
            self.changed.add(name)

    def begin_list(self) -> None:
        """Wait for every namespace again."""
        self._unlisted = set(self.labels)

    def end_list(self) -> None:
        """Forget the namespaces that the list did not bring."""
        for name in self._unlisted:
            self.delete(name)
        self._unlisted = set()
