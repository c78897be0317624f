"""The policies of the cluster, as the metrics and the violations' Events need them."""

from collections.abc import Callable
from typing import NamedTuple

from exporter.model.changes import Scope
from exporter.model.metadata import Namespace
from exporter.model.policy import Policy
from exporter.model.report import clip
from exporter.state.profile import severity_of
from exporter.state.tally import Gauge, Labels


class PolicyInfo(NamedTuple):
    """What is known of one policy."""

    policy: str
    kind: str
    source: str
    mode: str
    background: bool
    severity: str
    category: str
    title: str
    ready: bool | None
    changed: float
    generation: int
    blocks: bool


class PolicyChanged(NamedTuple):
    """A policy that was created (no *before*), changed, or deleted (no *after*).

    *version* is the resourceVersion in a watch, empty where a list showed the change.
    """

    before: PolicyInfo | None
    after: PolicyInfo | None
    version: str


class PolicyIndex:
    """Policies by label and kind.

    ``on_changed``, which ClusterState sets, is called with each change after the first list;
    ``version``, also set there, is then the resourceVersion of the object, empty in a list.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.info = Gauge()
        self.ready = Gauge()
        self.changed = Gauge()
        self.policy_infos: dict[tuple[str, str], PolicyInfo] = {}
        self.on_changed: Callable[[PolicyChanged], None] | None = None
        self.version = ""
        self._clock = clock
        self._unlisted: dict[Scope, set[tuple[str, str]]] = {}
        self._listed_once: set[Scope] = set()

    def find(self, policy: str, kind: str) -> PolicyInfo | None:
        """Look a policy up by its label and kind."""
        return self.policy_infos.get((policy, kind))

    def count(self, kind: str) -> int:
        """Count the policies of a kind."""
        return sum(k == kind for _, k in self.policy_infos)

    def apply(self, scope: Scope, policy: Policy) -> None:
        """Know a policy as it is now."""
        key = (policy.label, policy.kind)
        self._unlisted.get(scope, set()).discard(key)
        old = self.policy_infos.get(key)
        policy_info = _policy_info(policy, self._changed(policy, old))
        if old != policy_info:
            self._hide(old)
            self.policy_infos[key] = policy_info
            self._show(policy_info)
            if self.on_changed is not None and scope in self._listed_once:
                self.on_changed(PolicyChanged(old, policy_info, self.version))

    def delete(self, policy: Policy) -> None:
        """Forget a policy."""
        self._forget((policy.label, policy.kind))

    def begin_list(self, scope: Scope) -> None:
        """Wait for every policy of *scope* again."""
        kind, namespace = scope.resource.kind, scope.namespace
        self._unlisted[scope] = {
            (label, k)
            for label, k in self.policy_infos
            if k == kind and (not namespace or label.startswith(f"{namespace}/"))
        }

    def end_list(self, scope: Scope) -> None:
        """Forget the policies that the list did not contain."""
        for key in self._unlisted.pop(scope, set()):
            self._forget(key)
        self._listed_once.add(scope)

    def go_on_from(self, former: "PolicyIndex") -> None:
        """Take over when *former* saw a spec change, which objects do not always record."""
        for key, policy_info in self.policy_infos.items():
            old = former.policy_infos.get(key)
            if (
                old is not None
                and old.generation == policy_info.generation
                and old.changed > policy_info.changed
            ):
                self._hide(policy_info)
                self.policy_infos[key] = policy_info._replace(changed=old.changed)
                self._show(self.policy_infos[key])

    def _changed(self, policy: Policy, old: PolicyInfo | None) -> float:
        """Return when the spec last changed: what was seen here precedes what the object has."""
        if old is None:
            return policy.changed
        same = policy.metadata.generation == old.generation
        return old.changed if same else max(policy.changed, old.changed) or self._clock()

    def _forget(self, key: tuple[str, str]) -> None:
        gone = self.policy_infos.pop(key, None)
        self._hide(gone)
        if gone is not None and self.on_changed is not None:
            self.on_changed(PolicyChanged(gone, None, self.version))

    def _show(self, policy_info: PolicyInfo) -> None:
        self.info.put(_info(policy_info), 1)
        if policy_info.ready is not None:
            self.ready.put(_name(policy_info), int(policy_info.ready))
        if policy_info.changed:
            self.changed.put(_name(policy_info), int(policy_info.changed))

    def _hide(self, policy_info: PolicyInfo | None) -> None:
        if policy_info is not None:
            self.info.put(_info(policy_info), None)
            self.ready.put(_name(policy_info), None)
            self.changed.put(_name(policy_info), None)


def _name(policy_info: PolicyInfo) -> Labels:
    return (policy_info.policy, policy_info.kind, policy_info.source)


def _info(policy_info: PolicyInfo) -> Labels:
    background = "true" if policy_info.background else "false"
    return (
        *_name(policy_info),
        policy_info.mode,
        background,
        policy_info.severity,
        policy_info.category,
        policy_info.title,
    )


def _policy_info(policy: Policy, changed: float) -> PolicyInfo:
    return PolicyInfo(
        policy=clip(policy.label),
        kind=policy.kind,
        source=policy.source,
        mode=policy.mode,
        background=policy.background,
        severity=severity_of(policy.annotation("severity")),
        category=clip(policy.annotation("category")) or "none",
        title=clip(policy.annotation("title")),
        ready=policy.ready,
        changed=changed,
        generation=policy.metadata.generation,
        blocks=policy.blocks,
    )


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
        """Forget the namespaces that the list did not contain."""
        for name in self._unlisted:
            self.delete(name)
        self._unlisted = set()
