"""The resources that can be served, and how each is named, stored and printed."""

from typing import NamedTuple

from exporter.model import resource as known
from exporter.model.resource import Resource


class Column(NamedTuple):
    """One printed column: where its cell comes from, as in additionalPrinterColumns.

    ``path`` is dotted; a step ``[type=Ready]`` picks the list element whose ``type`` is that.
    """

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


class Served(NamedTuple):
    """One resource in one version. ``storage`` names the objects: two versions may share them."""

    resource: Resource
    storage: str
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    builtin: bool = False

    @property
    def group_version(self) -> str:
        """``group/version``, or ``v1`` for the core group."""
        return self.resource.api_version


AGE = Column("Age", "metadata.creationTimestamp", "date")

REPORT_COLUMNS = (
    Column("Kind", "scope.kind"),
    Column("Name", "scope.name"),
    Column("Pass", "summary.pass", "integer"),
    Column("Fail", "summary.fail", "integer"),
    Column("Warn", "summary.warn", "integer"),
    Column("Error", "summary.error", "integer"),
    Column("Skip", "summary.skip", "integer"),
    AGE,
)

POLICY_COLUMNS = (
    Column("ADMISSION", "spec.admission", "boolean"),
    Column("BACKGROUND", "spec.background", "boolean"),
    Column("READY", "status.conditions.[type=Ready].status"),
    AGE._replace(name="AGE"),
    Column("FAILURE POLICY", "spec.failurePolicy", priority=1),
    Column("VALIDATE", "status.rulecount.validate", "integer", 1),
    Column("MUTATE", "status.rulecount.mutate", "integer", 1),
    Column("GENERATE", "status.rulecount.generate", "integer", 1),
    Column("VERIFY IMAGES", "status.rulecount.verifyimages", "integer", 1),
    Column("MESSAGE", "status.conditions.[type=Ready].message"),
)

CEL_COLUMNS = (AGE._replace(name="AGE"), Column("READY", "status.conditionStatus.ready", "boolean"))

CORE_EVENTS = Resource("", "v1", "events", "Event", True)


def _of(resource: Resource, *short_names: str, columns: tuple[Column, ...] = ()) -> Served:
    return Served(resource, resource.name, resource.kind.lower(), short_names, columns=columns)


def _builtin(resource: Resource, *short_names: str, columns: tuple[Column, ...] = ()) -> Served:
    categories = ("all",) if resource in known.OWNED_RESOURCES else ()
    singular = resource.kind.lower()
    storage = known.EVENTS.name if resource is CORE_EVENTS else resource.name
    return Served(resource, storage, singular, short_names, categories, columns, builtin=True)


def _cel() -> list[Served]:
    served = []
    for resource in known.CEL_POLICIES:
        short = "".join(c for c in resource.kind if c.isupper()).lower()[:-1] + "pol"
        v1 = _of(resource, short, columns=CEL_COLUMNS)
        served += [v1, v1._replace(resource=resource._replace(version="v1beta1"))]
    return served


REGISTRY: tuple[Served, ...] = (
    _builtin(CORE_EVENTS, "ev"),
    _builtin(known.NAMESPACES, "ns", columns=(Column("Status", "status.phase"), AGE)),
    _builtin(known.PODS, "po", columns=(Column("Status", "status.phase"), AGE)),
    _builtin(known.EVENTS, "ev"),
    _builtin(known.REPLICA_SETS, "rs", columns=(AGE,)),
    _builtin(known.JOBS, columns=(AGE,)),
    _of(known.POLICY_REPORTS, "polr", columns=REPORT_COLUMNS),
    _of(known.CLUSTER_POLICY_REPORTS, "cpolr", columns=REPORT_COLUMNS),
    _of(known.REPORTS, "reps", columns=REPORT_COLUMNS),
    _of(known.CLUSTER_REPORTS, "creps", columns=REPORT_COLUMNS),
    _of(known.CLUSTER_POLICIES, "cpol", columns=POLICY_COLUMNS),
    _of(known.POLICIES, "pol", columns=POLICY_COLUMNS),
    *_cel(),
)


class Registry:
    """What is served now; resources come and go at run time, as CRDs do."""

    def __init__(self, served: tuple[Served, ...] = REGISTRY) -> None:
        self._known = {_key(each.resource): each for each in served}
        self._on = dict.fromkeys(self._known)

    def served(self) -> list[Served]:
        """Everything that is served, in the order of the registry."""
        return [each for key, each in self._known.items() if key in self._on]

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """Return the resource at this address, None where it is not served."""
        key = (group, version, plural)
        return self._known[key] if key in self._on else None

    def stop(self, resource: Resource) -> None:
        """Serve it no longer: its CRD is gone, or this version is ``served: false``."""
        self._on.pop(_key(resource), None)

    def start(self, resource: Resource) -> None:
        """Serve it again, or in a version that was never served before."""
        key = _key(resource)
        if key not in self._known:
            twin = next(
                each
                for each in self._known.values()
                if (each.resource.group, each.resource.plural) == (resource.group, resource.plural)
            )
            self._known[key] = twin._replace(resource=resource)
        self._on[key] = None


def _key(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural
