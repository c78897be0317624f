"""The vocabulary between following a cluster and keeping its numbers.

A list is ``Init``, an ``Applied`` for each object, then ``InitDone``: whatever the list did not
contain is gone. A list that breaks half-way is followed by another ``Init``; until a list has
ended nothing disappears.
"""

from typing import NamedTuple

import msgspec

from exporter.model.event import Event
from exporter.model.metadata import Namespace, OwnedObject
from exporter.model.policy import Policy
from exporter.model.report import Report
from exporter.model.resource import Resource

Object = Report | Event | Policy | Namespace | OwnedObject


class Scope(NamedTuple):
    """What one follower follows: a resource, everywhere or in one namespace."""

    resource: Resource
    namespace: str = ""


class Init(msgspec.Struct, frozen=True, gc=False):
    """A list of *scope* begins."""

    scope: Scope


class Applied(msgspec.Struct, frozen=True, gc=False):
    """An object was listed, created or changed."""

    scope: Scope
    object: Object


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """An object is gone; *object* is its last state."""

    scope: Scope
    object: Object


class InitDone(msgspec.Struct, frozen=True, gc=False):
    """A list of *scope* ended; what it did not contain no longer exists."""

    scope: Scope


Change = Init | Applied | Deleted | InitDone
