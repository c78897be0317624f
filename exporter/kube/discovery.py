"""Find out what a server serves, and in which version."""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from exporter.errors import ApiError, Malformed, NotServed, Refused, Unavailable, explain
from exporter.kube.client import JSON, KubeClient, Request
from exporter.model.resource import (
    EVENTS,
    OWNED_RESOURCES,
    POLICY_RESOURCES,
    REPORT_RESOURCES,
    Resource,
)
from exporter.wire.codec import BROKEN

_PATH: Final = "/api/v1/namespaces/kube-system"


class _Identity(msgspec.Struct):
    uid: str = ""


class _Identified(msgspec.Struct):
    metadata: _Identity


async def cluster_id(client: KubeClient) -> str:
    """Return the uid of the namespace kube-system, by convention the cluster's identity.

    Empty where it may not be read, as with a Role in other namespaces.

    Raises:
        ApiError: there was no answer; ask again.
        Malformed: the answer is no namespace.
    """
    try:
        body = await client.get(Request(_PATH, resource="namespaces", verb="get"))
    except Refused:
        return ""
    except ApiError as error:
        if error.status == 404:
            return ""
        raise
    try:
        return msgspec.json.decode(body, type=_Identified).metadata.uid
    except BROKEN as error:
        raise Malformed(explain(_PATH, error)) from error


log = logging.getLogger(__name__)

T = TypeVar("T", "_Document", "_Resources")

FRESH_SECONDS: Final = 2.0
PAGES_FROM_MEMORY: Final = (1, 34)
"""The version of Kubernetes from which on pages cost an API server less than a stream."""
GROUPS: Final = {
    each.group for each in (*REPORT_RESOURCES, *POLICY_RESOURCES, *OWNED_RESOURCES, EVENTS)
}
AGGREGATED: Final = ",".join(
    f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)


class _Name(msgspec.Struct):
    name: str = ""


class _Found(msgspec.Struct):
    resource: str = ""
    name: str = ""
    verbs: list[str] | None = None


class _Version(msgspec.Struct):
    version: str
    resources: list[_Found] | None = None
    freshness: str = "Current"


class _AggregatedGroup(msgspec.Struct):
    metadata: _Name
    versions: list[_Version] | None = None


class _Group(msgspec.Struct, rename="camel"):
    name: str
    versions: list[_Version]
    preferred_version: _Version | None = None


class _Document(msgspec.Struct):
    """Either answer to /apis: groups with all they hold, or the names of groups alone."""

    items: list[_AggregatedGroup] | None = None
    groups: list[_Group] | None = None


class _Resources(msgspec.Struct):
    resources: list[_Found] | None = None


class _ServerVersion(msgspec.Struct, rename="camel"):
    """The version of a server, and from 1.33 on that whose features it has."""

    major: str = ""
    minor: str = ""
    emulation_major: str = ""
    emulation_minor: str = ""


class Version(NamedTuple):
    """What a version of a group holds that can be followed.

    ``certain`` is False where the server behind it, an aggregated one, does not answer.
    """

    name: str
    plurals: frozenset[str]
    certain: bool = True


class Discovery:
    """What one server serves, asked again when the answer is older than FRESH_SECONDS.

    Followers begin together, so they share an answer.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._groups: dict[str, list[Version]] = {}

    async def find(self, resource: Resource) -> Resource | None:
        """Return the resource in the version to use, None if none is served.

        That is the version that it was asked for in, else the one that the server prefers. Where
        discovery is not permitted, the resource is taken to be served as it was asked for.

        Raises:
            ApiError: the server cannot be asked.
        """
        if not resource.group:
            return resource
        try:
            async with self._lock:
                now = asyncio.get_running_loop().time()
                if now - self._asked_at > FRESH_SECONDS:
                    self._groups = await self._ask()
                    self._asked_at = now
        except Refused as error:
            log.debug("discovery is not permitted: %s", error)
            return resource
        return chosen(resource, self._groups.get(resource.group, ()))

    async def pages_from_memory(self) -> bool:
        """Return whether the server reads the pages of a list from its memory, not from etcd.

        Kubernetes 1.34 and later do (KEP-4988, ListFromCacheSnapshot). False where the server
        does not give its version.
        """
        try:
            body = await self._client.get(Request("/version"))
            found = msgspec.json.decode(body, type=_ServerVersion)
            # Providers add a sign: "34+".
            major = found.emulation_major or found.major
            minor = found.emulation_minor or found.minor
            version = tuple(int(re.sub(r"\D.*", "", each)) for each in (major, minor))
        except (ApiError, ValueError, *BROKEN) as error:  # a version without digits, too
            log.debug("the server does not give its version: %s", error)
            return False
        return version >= PAGES_FROM_MEMORY

    async def _ask(self) -> dict[str, list[Version]]:
        document = await self._read("/apis", AGGREGATED, _Document)
        if document.items is not None:
            return {item.metadata.name: _versions(item.versions or ()) for item in document.items}
        wanted = [group for group in document.groups or () if group.name in GROUPS]
        return {group.name: await self._ask_group(group) for group in wanted}

    async def _ask_group(self, group: _Group) -> list[Version]:
        named = sorted(group.versions, key=lambda each: each != group.preferred_version)
        return [await self._ask_version(group.name, each.version) for each in named]

    async def _ask_version(self, group: str, version: str) -> Version:
        try:
            found = await self._read(f"/apis/{group}/{version}", JSON, _Resources)
        except NotServed:
            return Version(version, frozenset())
        except Unavailable:
            return Version(version, frozenset(), certain=False)
        return Version(version, _followable(found.resources or ()))

    async def _read(self, path: str, accept: str, model: type[T]) -> T:
        body = await self._client.get(Request(path, accept=accept))
        try:
            return msgspec.json.decode(body, type=model)
        except BROKEN as error:
            raise Unavailable(explain(f"{path}: not a discovery document", error)) from error


def chosen(resource: Resource, versions: Sequence[Version]) -> Resource | None:
    """Choose the version in which to follow a resource, None if it is in none."""
    names = [each.name for each in versions if resource.plural in each.plurals]
    if resource.version in names:
        return resource
    if names:
        return resource._replace(version=names[0])
    if not all(each.certain for each in versions):
        raise Unavailable(f"the server behind the API group {resource.group} does not respond")
    return None


def _versions(versions: Sequence[_Version]) -> list[Version]:
    return [
        Version(each.version, _followable(each.resources or ()), each.freshness == "Current")
        for each in versions
    ]


def _followable(found: Sequence[_Found]) -> frozenset[str]:
    return frozenset(
        each.resource or each.name for each in found if {"list", "watch"} <= set(each.verbs or ())
    )
