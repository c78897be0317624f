"""The kinds of object that are followed, and how the API names them."""

from typing import Final, NamedTuple


class Resource(NamedTuple):
    """One kind of object as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def name(self) -> str:
        """The value of the label ``resource``: ``policyreports.wgpolicyk8s.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """``wgpolicyk8s.io/v1alpha2``, as objects spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "") -> str:
        """Give the URL path of the collection, in one namespace or in all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{scope}/{self.plural}"


POLICY_REPORTS = Resource("wgpolicyk8s.io", "v1alpha2", "policyreports", "PolicyReport", True)
CLUSTER_POLICY_REPORTS = Resource(
    "wgpolicyk8s.io", "v1alpha2", "clusterpolicyreports", "ClusterPolicyReport", False
)
REPORTS = Resource("openreports.io", "v1alpha1", "reports", "Report", True)
CLUSTER_REPORTS = Resource("openreports.io", "v1alpha1", "clusterreports", "ClusterReport", False)
EVENTS = Resource("events.k8s.io", "v1", "events", "Event", True)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False)
PODS = Resource("", "v1", "pods", "Pod", True)
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True)
JOBS = Resource("batch", "v1", "jobs", "Job", True)
CLUSTER_POLICIES = Resource("kyverno.io", "v1", "clusterpolicies", "ClusterPolicy", False)
POLICIES = Resource("kyverno.io", "v1", "policies", "Policy", True)


def _cel(adjective: str) -> tuple[Resource, Resource]:
    kind = f"{adjective}Policy"
    plural = f"{adjective.lower()}policies"
    group, version = "policies.kyverno.io", "v1"
    return (
        Resource(group, version, plural, kind, False),
        Resource(group, version, f"namespaced{plural}", f"Namespaced{kind}", True),
    )


CEL_POLICIES = (
    *_cel("Validating"),
    *_cel("ImageValidating"),
    *_cel("Mutating"),
    *_cel("Generating"),
    *_cel("Deleting"),
)

REPORT_RESOURCES = (POLICY_REPORTS, CLUSTER_POLICY_REPORTS, REPORTS, CLUSTER_REPORTS)
OWNED_RESOURCES = (PODS, REPLICA_SETS, JOBS)
"""What controllers create, and of what metadata alone are read."""

POLICY_RESOURCES = (CLUSTER_POLICIES, POLICIES, *CEL_POLICIES)

_KNOWN: Final = {
    ("" if r.kind == "Event" else r.group, r.kind): r
    for r in (*REPORT_RESOURCES, *POLICY_RESOURCES, NAMESPACES, EVENTS)
} | {
    # kyverno apply of Kyverno 1.15 to 1.19 writes PolicyReport where the API group has Report.
    (REPORTS.group, "PolicyReport"): REPORTS,
    (REPORTS.group, "ClusterPolicyReport"): CLUSTER_REPORTS,
}
_REPORT_GROUPS: Final = {r.group for r in REPORT_RESOURCES}
_REPORT_KINDS: Final = {r.kind for r in REPORT_RESOURCES}


def resource_of(api_version: str, kind: str) -> Resource | None:
    """Find the resource of an object in any version; None where it is of another kind."""
    group = api_version.rpartition("/")[0]
    return _KNOWN.get(("" if kind == "Event" else group, kind))


def resembles_report(api_version: str, kind: str) -> bool:
    """Whether an object of another kind has the kind of a report, or is in a group of reports."""
    group = api_version.rpartition("/")[0]
    is_report = kind in _REPORT_KINDS and not group
    return is_report or (group in _REPORT_GROUPS and not kind.endswith("List"))
