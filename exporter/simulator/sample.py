"""The sample cluster as it begins: a workshop's namespaces, and a platform around them."""

from uuid import UUID

from exporter.model.ownership import SUFFIX_LETTERS, encode_digits
from exporter.simulator import checks
from exporter.simulator.checks import BASELINE, CHECKS, LABELS, REGISTRIES, REPLICAS
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.store import Store
from exporter.simulator.world import Subject, World

NAMESPACES = {
    "carts": {"team": "storefront", "env": "prod"},
    "catalog": {"team": "storefront", "env": "prod"},
    "checkout": {"team": "payments", "env": "prod"},
    "default": {"team": "platform", "env": "dev"},
    "kube-system": {"team": "platform", "env": "prod"},
    "monitoring": {"team": "platform", "env": "prod"},
    "orders": {"team": "orders", "env": "staging"},
    "payments": {"team": "payments", "env": "prod"},
    "sandbox": {},
    "ui": {"team": "web", "env": "prod"},
}

_L, _LR, _R = (LABELS,), (LABELS, REGISTRIES), (REGISTRIES,)
_MINUTE = 60
_OLD = 179 * _MINUTE

_CHECKOUT = "checkout-5b885fb57c"
_DYNAMODB, _REDIS = "carts-dynamodb-995f7768c", "checkout-redis-69cb79ff4d"
DEPLOYMENT, REPLICA_SET, STATEFUL, DAEMON = "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"

# namespace, uid of the resource, kind, name, seconds of age, what it violates
WORKSHOP = (
    ("carts", "14b206ec-f98c-4f5a-98b8-08613b2bba3c", REPLICA_SET, "carts-757dbcfcf7", 660, ()),
    ("carts", "16f00a47-fe76-46e7-be02-3ec4bb16231e", REPLICA_SET, "carts-7dfbb5d849", _OLD, ()),
    ("carts", "50358693-2468-4b73-8873-c6239b90876c", DEPLOYMENT, "carts-dynamodb", _OLD, _LR),
    ("carts", "60f7683d-3de7-40c8-8291-6dce06d2900e", "Pod", f"{_DYNAMODB}-kl4s6", _OLD, _LR),
    ("carts", "6e48edbf-dd0d-478e-a52d-aed182785c24", "Pod", "carts-757dbcfcf7-sgpqv", 720, ()),
    ("carts", "b0356ab5-e6a5-4326-a931-0e8d1a9f7f94", DEPLOYMENT, "carts", _OLD, ()),
    ("carts", "c914951d-21af-475d-a8f4-a0780a9d71c2", REPLICA_SET, _DYNAMODB, _OLD, _LR),
    ("carts", "c9ee5eed-ecd0-47a5-9930-b4185757db02", REPLICA_SET, "carts-68d496fff8", _OLD, _L),
    ("catalog", "7584031d-b299-4ae6-8520-16b6b2df479f", STATEFUL, "catalog-mysql", _OLD, _L),
    ("catalog", "8bae7be3-6452-4f2f-9d85-cf6cc3362d24", REPLICA_SET, "catalog-5fdcc8c65", _OLD, _L),
    ("catalog", "93b327e5-9ce7-442c-831b-5816db78bb33", "Pod", "catalog-5fdcc8c65-qn5tx", _OLD, _L),
    ("catalog", "b9de1775-064e-4d1c-b393-b5f88b0200b6", "Pod", "catalog-mysql-0", _OLD, _L),
    ("catalog", "d6c40501-8f34-4398-97a6-27ab1050ef93", DEPLOYMENT, "catalog", _OLD, _L),
    ("checkout", "11f1bb14-11b2-4f50-9da0-fde2375f66c9", REPLICA_SET, _REDIS, _OLD, _L),
    ("checkout", "3f896219-057e-40c0-bf99-c6ad4a57350b", DEPLOYMENT, "checkout", _OLD, _L),
    ("checkout", "3fefabc9-d971-4ea6-9045-688f825ed232", "Pod", f"{_CHECKOUT}-cnlkx", _OLD, _L),
    ("checkout", "4df6b9d4-b87f-4a83-bbc3-985227280d2a", DEPLOYMENT, "checkout-redis", _OLD, _L),
    ("checkout", "b7e33f5a-8afa-4c32-98fb-aed787944a8e", REPLICA_SET, _CHECKOUT, _OLD, _L),
    ("checkout", "da8392bf-5e4c-463e-98c3-20675b5aecd2", "Pod", f"{_REDIS}-hdj5r", _OLD, _L),
    ("default", "7c37b6cb-08e6-4ad3-adb3-df5f52bfb767", "Pod", "nginx-ecr", 27, ()),
    ("default", "ea02cd57-8684-43ad-8e8f-c0140beeec2b", "Pod", "nginx", 149, _R),
)  # fmt: skip

FAIL = "fail"
# namespace, kind, name, Pods, what is not a pass
PLATFORM: tuple[tuple[str, str, str, int, dict[str, str]], ...] = (
    ("kube-system", DEPLOYMENT, "coredns", 2, {LABELS.policy: FAIL}),
    ("kube-system", DAEMON, "aws-node", 3, {BASELINE.policy: FAIL, LABELS.policy: FAIL}),
    ("monitoring", DAEMON, "node-exporter", 3, {"disallow-host-path": FAIL}),
    ("monitoring", STATEFUL, "prometheus", 2, {}),
    ("orders", DEPLOYMENT, "orders", 3, {"require-run-as-nonroot": FAIL}),
    ("orders", DEPLOYMENT, "orders-worker", 2, {"require-probes": FAIL, LABELS.policy: FAIL}),
    ("payments", DEPLOYMENT, "payments-api", 3, {"verify-image-signatures": FAIL}),
    ("payments", DEPLOYMENT, "payments-ledger", 2, {"verify-image-signatures": "error"}),
    ("payments", STATEFUL, "payments-db", 1, {"require-run-as-nonroot": FAIL}),
    ("ui", DEPLOYMENT, "ui", 3, {"disallow-latest-tag": FAIL}),
    ("ui", DEPLOYMENT, "ui-assets", 1, {"restrict-image-registries": FAIL}),
)  # fmt: skip

# seconds ago, policy, name of the Pod that was refused
BLOCKED = ((269, BASELINE, "privileged-pod"), (82, REGISTRIES, "nginx-public"))


def sample(store: Store) -> World:
    """Fill a store with the sample cluster as of the store's clock."""
    now = int(store.clock())
    world = World(store, CHECKS)
    for check in CHECKS:
        world.add_policy(check, now - _OLD)
    for name, labels in NAMESPACES.items():
        uid = world.add_namespace(name, labels, now - _OLD)
        subject = Subject(ReportTarget("Namespace", "", name, uid), {}, {})
        if not labels:
            subject.verdicts[checks.OWNER.policy] = "fail"
        world.put(subject, now - _OLD)
    _workshop(world, now)
    for namespace, kind, name, pods, verdicts in PLATFORM:
        workload(
            world, ReportTarget(kind, namespace, name, store.uid()), pods, verdicts, now - _OLD
        )
    for ago, check, name in BLOCKED:
        world.block(check, ReportTarget("Pod", "default", name, store.uid()), now - ago)
    return world


def workload(
    world: World,
    owner: ReportTarget,
    pods: int,
    verdicts: dict[str, str],
    created: float | None = None,
) -> list[Subject]:
    """Start a workload: its own report, its ReplicaSet's where it has one, its Pods'."""
    subjects = [_subject(world, owner, verdicts)]
    prefix = owner.name
    if owner.kind == "Deployment":
        prefix = f"{owner.name}-{_template_hash(world.store.uid())}"
        replica_set = ReportTarget("ReplicaSet", owner.namespace, prefix, world.store.uid())
        subjects.append(_subject(world, replica_set, verdicts))
    for number in range(pods):
        suffix = str(number) if owner.kind == "StatefulSet" else _suffix(world.store.uid())
        pod = ReportTarget("Pod", owner.namespace, f"{prefix}-{suffix}", world.store.uid())
        subjects.append(_subject(world, pod, verdicts))
    for subject in subjects:
        world.put(subject, created)
    return subjects


def _template_hash(uid: str) -> str:
    """Make a pod-template-hash of nine or ten digits, as the Deployment controller encodes it."""
    least = 100_000_000
    return encode_digits(least + UUID(uid).int % (2**32 - least))


def _suffix(uid: str) -> str:
    """Make the five random characters of a generated name."""
    return "".join(SUFFIX_LETTERS[each % len(SUFFIX_LETTERS)] for each in UUID(uid).bytes[:5])


def _subject(world: World, target: ReportTarget, verdicts: dict[str, str]) -> Subject:
    kind, namespace, name, _ = target
    applying = {p for p, c in world.checks.items() if c.applies_to(kind, namespace, name)}
    return Subject(target, {p: v for p, v in verdicts.items() if p in applying}, {})


def _after_owners(row: tuple[str, str, str, str, int, object]) -> int:
    """Sort Pods after ReplicaSets, and these after all else: a copy names its owner."""
    return {REPLICA_SET: 1, "Pod": 2}.get(row[2], 0)


def _workshop(world: World, now: int) -> None:
    for namespace, uid, kind, name, age, violated in sorted(WORKSHOP, key=_after_owners):
        verdicts = {check.policy: "fail" for check in violated}
        exceptions = {}
        if (kind, name) == ("Deployment", "carts"):
            verdicts[REPLICAS.policy] = "skip"
            exceptions[REPLICAS.policy] = "carts-single-replica"
        target = ReportTarget(kind, namespace, name, uid)
        world.put(Subject(target, verdicts, exceptions), now - age)
