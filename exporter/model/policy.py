"""Kyverno's policies: what they are called, how severe they are, whether they block."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from exporter.model.metadata import (
    CreatedMetadata,
    KubeObject,
    ManagedField,
    Metadata,
    unix_seconds,
)

_Text = Annotated[str, msgspec.Meta(max_length=1 << 20)]
_SOURCES: Final = {"ClusterPolicy": "kyverno", "Policy": "kyverno"}


class PolicyMetadata(CreatedMetadata, frozen=True, gc=False, rename="camel"):
    """Metadata with the annotations that carry severity, category and title."""

    generation: int = 0
    annotations: dict[str, _Text] | None = None
    managed_fields: list[ManagedField] | None = None


class Override(msgspec.Struct, frozen=True, gc=False):
    """Another action in some namespaces."""

    action: str = ""


class Check(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The part of a validate or verifyImages rule that decides what a failure leads to."""

    failure_action: str = ""
    failure_action_overrides: list[Override] | None = None


class Rule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A rule of a ClusterPolicy or Policy; only validate and verifyImages rules can block."""

    name: str = ""
    validate: Check | None = None
    verify_images: list[Check] | None = None


class Switch(msgspec.Struct, frozen=True, gc=False):
    """``{"enabled": true}``, as CEL policies have it."""

    enabled: bool = True


class Evaluation(msgspec.Struct, frozen=True, gc=False):
    """When a CEL policy is evaluated."""

    admission: Switch | None = None
    background: Switch | None = None


class Spec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The parts of both policy generations' specs that decide the mode."""

    validation_failure_action: str = ""
    validation_failure_action_overrides: list[Override] | None = None
    rules: list[Rule] | None = None
    validation_actions: list[str] | None = None
    admission: bool | None = None
    background: bool | None = None
    evaluation: Evaluation | None = None


class Condition(msgspec.Struct, frozen=True, gc=False):
    """One status condition."""

    type: str = ""
    status: str = ""


class ConditionStatus(msgspec.Struct, frozen=True, gc=False):
    """Readiness of a CEL policy."""

    ready: bool | None = None


class PolicyStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Readiness in every place where Kyverno keeps it."""

    ready: bool | None = None
    conditions: list[Condition] | None = None
    condition_status: ConditionStatus | None = None


class Policy(KubeObject, gc=False):
    """A policy of any kind; the codec sets ``kind``, which lists leave out."""

    metadata: PolicyMetadata
    kind: str = ""
    spec: Spec | None = None
    status: PolicyStatus | None = None

    @property
    def label(self) -> str:
        """The value of the label ``policy``: "namespace/name" for a namespaced policy."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def source(self) -> str:
        """The ``source`` that this policy's results carry in reports."""
        return _SOURCES.get(self.kind) or f"Kyverno{self.kind.removeprefix('Namespaced')}"

    def annotation(self, name: str) -> str:
        """One of Kyverno's annotations: ``severity``, ``category``, ``title``."""
        return (self.metadata.annotations or {}).get(f"policies.kyverno.io/{name}", "")

    @property
    def blocks(self) -> bool:
        """Whether this policy itself can deny a request, other policies aside."""
        return self.mode in ("enforce", "mixed")

    @property
    def mode(self) -> str:
        """enforce, audit, mixed, warn, or none for a policy that never judges."""
        spec = self.spec or Spec()
        if self.kind in ("ClusterPolicy", "Policy"):
            mode = _mode_of(set(_actions(spec)))
            return _unless_admitted(mode, admission=spec.admission)
        if not self.kind.endswith("ValidatingPolicy"):
            return "none"
        admission = spec.evaluation and spec.evaluation.admission
        enabled = admission.enabled if admission else None
        return _unless_admitted(_cel_mode(spec), admission=enabled)

    @property
    def background(self) -> bool:
        """Whether existing resources are scanned."""
        spec = self.spec or Spec()
        if spec.evaluation and spec.evaluation.background:
            return spec.evaluation.background.enabled
        return spec.background is not False

    @property
    def ready(self) -> bool | None:
        """Whether Kyverno reports the policy as ready; None when it has not reported yet."""
        status = self.status or PolicyStatus()
        if status.condition_status and status.condition_status.ready is not None:
            return status.condition_status.ready
        for condition in status.conditions or ():
            if condition.type == "Ready":
                return condition.status == "True"
        return status.ready

    @property
    def changed(self) -> float:
        """When the spec last changed according to the object, Unix seconds.

        The newest write to anything but the status, else its creation.
        """
        writes = (f.time for f in self.metadata.managed_fields or () if not f.subresource)
        created = unix_seconds(self.metadata.creation_timestamp)
        return max(map(unix_seconds, writes), default=created)


def _unless_admitted(mode: str, *, admission: bool | None) -> str:
    """Turn off blocking for a policy that is not evaluated at admission."""
    return "audit" if admission is False and mode in ("enforce", "mixed", "warn") else mode


def _cel_mode(spec: Spec) -> str:
    actions = spec.validation_actions or ["Deny"]
    for action, mode in (("Deny", "enforce"), ("Audit", "audit"), ("Warn", "warn")):
        if action in actions:
            return mode
    return "none"


def _mode_of(actions: set[str]) -> str:
    match len(actions):
        case 0:
            return "none"
        case 1:
            return next(iter(actions))
        case _:
            return "mixed"


def _actions(spec: Spec) -> Iterator[str]:
    """Every action that some rule takes somewhere, most specific first (Kyverno's own order)."""
    for rule in spec.rules or ():
        checks = [*([rule.validate] if rule.validate else ()), *(rule.verify_images or ())]
        for check in checks:
            yield from _overriding(check.failure_action_overrides or ())
            if check.failure_action:
                yield _word(check.failure_action)
            else:
                yield from _overriding(spec.validation_failure_action_overrides or ())
                yield _word(spec.validation_failure_action)


def _overriding(overrides: Iterable[Override]) -> Iterator[str]:
    return (_word(o.action) for o in overrides if o.action)


def _word(action: str) -> str:
    """Audit or Enforce in any case; Kyverno's default is Audit."""
    return "enforce" if action.lower() == "enforce" else "audit"


class _NamedPolicy(msgspec.Struct, frozen=True, rename={"policy_name": "policyName"}):
    policy_name: str = ""
    name: str = ""


class _ExceptionSpec(msgspec.Struct, frozen=True, rename="camel"):
    exceptions: tuple[_NamedPolicy, ...] = ()
    policy_refs: tuple[_NamedPolicy, ...] = ()


class PolicyException(msgspec.Struct, frozen=True):
    """A PolicyException of kyverno.io, or of policies.kyverno.io with its references."""

    metadata: Metadata
    spec: _ExceptionSpec = _ExceptionSpec()

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that it names."""
        named = (each.policy_name or each.name for each in self._named)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def _named(self) -> tuple[_NamedPolicy, ...]:
        return (*self.spec.exceptions, *self.spec.policy_refs)
