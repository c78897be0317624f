"""The part of Kubernetes' ObjectMeta that is used, and how the wire spells instants."""

from datetime import datetime
from typing import Final

import msgspec

_VERSION_DIGITS: Final = 20


class ManagedField(msgspec.Struct, frozen=True, gc=False):
    """Who wrote which half of an object last; ``time`` is RFC 3339."""

    time: str = ""
    subresource: str = ""


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Name, place and version of an object."""

    name: str
    namespace: str = ""
    resource_version: str = ""


class CreatedMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    """The same, and when it was created; RFC 3339."""

    creation_timestamp: str | None = None


def version_number(version: str) -> int:
    """Read a resourceVersion as a number; 0 where it is none, which compares with nothing.

    API servers use unsigned 64-bit numbers. A longer one is opaque, as the API has it, and
    Python refuses to read one of more than 4,300 digits.
    """
    is_number = version.isascii() and version.isdecimal() and len(version) <= _VERSION_DIGITS
    return int(version) if is_number else 0


class KubeObject(msgspec.Struct, gc=False):
    """Any object of the API: what it is called, and which version of it this is."""

    metadata: Metadata

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace, empty for cluster-scoped objects."""
        return self.metadata.namespace

    @property
    def version(self) -> str:
        """The object's resourceVersion."""
        return self.metadata.resource_version


def unix_seconds(rfc3339: str | None) -> float:
    """Read an RFC 3339 instant as Unix seconds; 0.0 when absent or unreadable."""
    if not rfc3339:
        return 0.0
    try:
        return datetime.fromisoformat(rfc3339).timestamp()
    except (ValueError, OverflowError):
        return 0.0


class LabelledMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    """Metadata with labels."""

    labels: dict[str, str] | None = None


class Namespace(KubeObject, gc=False):
    """A namespace and its labels."""

    metadata: LabelledMetadata

    @property
    def labels(self) -> dict[str, str]:
        """The namespace's labels."""
        return self.metadata.labels or {}


class OwnerReference(msgspec.Struct, frozen=True, gc=False):
    """An owner of an object; at most one of them is its controller."""

    kind: str
    name: str
    uid: str
    controller: bool | None = None


class OwnedMetadata(Metadata, frozen=True, gc=False, rename="camel"):
    """Metadata with the uid and the owners."""

    uid: str = ""
    owner_references: list[OwnerReference] | None = None


class OwnedObject(KubeObject, gc=False):
    """The metadata of an object that may have a controller."""

    metadata: OwnedMetadata

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that created the object and keeps it as it should be."""
        for each in self.metadata.owner_references or ():
            if each.controller:
                return each
        return None
