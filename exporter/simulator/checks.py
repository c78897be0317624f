"""The sample cluster's policies, as data: what each checks, how badly, and in what words."""

from typing import NamedTuple

POD = ("Pod",)
WORKLOADS = ("Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job")


class SampleCheck(NamedTuple):
    """One rule of one policy, or a CEL policy, which has no rule.

    ``fails`` is the message of a violation: ``{rule}`` and ``{template}`` (``/spec/template`` for
    controllers of Pods, whose rules Kyverno derives) are filled in. ``action`` is Enforce or Audit.
    """

    policy: str
    rule: str
    fails: str
    passes: str = "validation rule '{rule}' passed."
    namespace: str = ""
    policy_kind: str = "ClusterPolicy"
    source: str = "kyverno"
    action: str = "Enforce"
    severity: str = ""
    category: str = ""
    title: str = ""
    scored: bool = True
    kinds: tuple[str, ...] = WORKLOADS
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ready: bool = True
    verifies_images: bool = False
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def cel(self) -> bool:
        """Whether it belongs to policies.kyverno.io."""
        return self.source != "kyverno"

    @property
    def reported_policy(self) -> str:
        """The policy as results spell it."""
        return f"{self.namespace}/{self.policy}" if self.namespace else self.policy

    def rule_for(self, kind: str) -> str:
        """Name the rule that applies to a kind, derived ones included."""
        if self.cel or kind == "Pod" or "Pod" not in self.kinds:
            return self.rule
        return f"autogen-cronjob-{self.rule}" if kind == "CronJob" else f"autogen-{self.rule}"

    def applies_to(self, kind: str, namespace: str, name: str) -> bool:
        """Return whether a resource is checked."""
        if kind not in self.kinds or self.namespace not in ("", namespace):
            return False
        if self.names and name not in self.names:
            return False
        return not self.namespaces or namespace in self.namespaces

    def says(self, result: str, kind: str) -> str:
        """Give the message of a result for a resource of this kind."""
        template = "/spec/template" if "Pod" in self.kinds and kind != "Pod" else ""
        rule = self.rule_for(kind)
        words = {"pass": self.passes, "skip": "preconditions not met", "error": _ERROR}
        return words.get(result, self.fails).format(rule=rule, template=template)


_ERROR = (
    "failed to verify image registry.example.com/payments/api:1.8: "
    ".attestors[0].entries[0].keys: Get registry.example.com: i/o timeout"
)
_PLATFORM = ("kube-system", "monitoring", "orders", "payments", "ui")
_BASELINE = "Pod Security Standards (Baseline)"
_RESTRICTED = "Pod Security Standards (Restricted)"

BASELINE = SampleCheck(
    "baseline-policy",
    "baseline",
    "Validation rule '{rule}' failed. It violates PodSecurity \"baseline:latest\": (Forbidden "
    "reason: privileged, field error list: [spec.containers[0].securityContext.privileged is "
    "forbidden, forbidden values found: true])",
    passes="Validation rule '{rule}' passed.",
    severity="high",
    category=_BASELINE,
    title="Baseline Pod Security Standards",
    properties=(
        ("controls", "Privileged Containers"),
        ("standard", "baseline"),
        ("version", "latest"),
    ),
)
REGISTRIES = SampleCheck(
    "restrict-image-registries",
    "validate-registries",
    "validation error: Unknown Image registry. rule {rule} failed at path "
    "{template}/spec/containers/0/image/",
    severity="medium",
    category="Software Supply Chain Security",
    title="Restrict Image Registries",
)
LABELS = SampleCheck(
    "require-labels",
    "check-team",
    "validation error: Label 'CostCenter' is required to deploy the Pod. rule {rule} failed at "
    "path {template}/metadata/labels/CostCenter/",
    action="Audit",
    severity="low",
    category="Best Practices",
    title="Require Labels",
)
REQUESTS = SampleCheck(
    "require-requests",
    "validate-resources",
    "validation error: CPU and memory requests are required. rule {rule} failed at path "
    "/spec/containers/0/resources/requests/",
    namespace="default",
    policy_kind="Policy",
    kinds=POD,
)
REPLICAS = SampleCheck(
    "minimum-replicas",
    "two-replicas",
    "validation error: At least two replicas are required. rule {rule} failed at path "
    "/spec/replicas/",
    namespace="carts",
    policy_kind="Policy",
    action="Audit",
    severity="info",
    category="High Availability",
    title="Minimum Replicas",
    kinds=("Deployment",),
    names=("carts",),
)
NON_ROOT = SampleCheck(
    "require-run-as-nonroot",
    "run-as-non-root",
    "validation error: Running as root is not allowed. rule {rule} failed at path "
    "{template}/spec/securityContext/runAsNonRoot/",
    action="Audit",
    severity="medium",
    category=_RESTRICTED,
    title="Require runAsNonRoot",
    namespaces=_PLATFORM,
)
LATEST = SampleCheck(
    "disallow-latest-tag",
    "validate-image-tag",
    "validation error: Using a mutable image tag e.g. 'latest' is not allowed. rule {rule} "
    "failed at path {template}/spec/containers/0/image/",
    action="Audit",
    severity="info",
    category="Best Practices",
    title="Disallow Latest Tag",
    scored=False,
    namespaces=_PLATFORM,
)
SIGNATURES = SampleCheck(
    "verify-image-signatures",
    "check-signature",
    "failed to verify image registry.example.com/payments/api:1.8: "
    ".attestors[0].entries[0].keys: no matching signatures",
    passes="verified image signatures for registry.example.com/payments/api:1.8",
    action="Audit",
    severity="critical",
    category="Software Supply Chain Security",
    title="Verify Image Signatures",
    namespaces=("payments",),
    verifies_images=True,
)
HOST_PATH = SampleCheck(
    "disallow-host-path",
    "",
    "HostPath volumes are forbidden.",
    passes="success",
    policy_kind="ValidatingPolicy",
    source="KyvernoValidatingPolicy",
    severity="high",
    category="Pod Security Standards (Baseline) in ValidatingPolicy",
    title="Disallow hostPath",
    kinds=POD,
    namespaces=_PLATFORM,
    properties=(("cel.validationIndex", "0"),),
)
PROBES = SampleCheck(
    "require-probes",
    "",
    "Liveness and readiness probes are required.",
    passes="success",
    policy_kind="ValidatingPolicy",
    source="KyvernoValidatingPolicy",
    action="Audit",
    severity="low",
    category="Best Practices in ValidatingPolicy",
    title="Require Probes",
    kinds=("Deployment", "StatefulSet", "DaemonSet"),
    namespaces=_PLATFORM,
)
OWNER = SampleCheck(
    "require-namespace-owner",
    "check-owner",
    "validation error: You must have label `team` on all namespaces. rule {rule} failed at path "
    "/metadata/labels/team/",
    action="Audit",
    severity="critical",
    category="Multi-Tenancy",
    title="Require Namespace Owner",
    kinds=("Namespace",),
)
NETWORK = SampleCheck(
    "add-default-deny",
    "default-deny",
    "",
    action="Audit",
    severity="medium",
    category="Multi-Tenancy",
    title="Add Network Policy",
    kinds=(),
    ready=False,
)

CHECKS = (
    BASELINE,
    REGISTRIES,
    LABELS,
    REQUESTS,
    REPLICAS,
    NON_ROOT,
    LATEST,
    SIGNATURES,
    HOST_PATH,
    PROBES,
    OWNER,
    NETWORK,
)
