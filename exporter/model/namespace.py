"""Namespaces, for the labels that route alerts."""

from exporter.model.metadata import Metadata, Stored


class LabelledMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    """Metadata with labels."""

    labels: dict[str, str] | None = None


class Namespace(Stored, gc=False):
    """A namespace and its labels."""

    metadata: LabelledMetadata

    @property
    def labels(self) -> dict[str, str]:
        """The namespace's labels."""
        return self.metadata.labels or {}
