"""The story of the page that this project began with: a shop under four policies.

Workloads run before there is a Kyverno; policies come; one Pod is admitted before the policy about
registries exists; two Pods are refused; one is fine.
"""

from typing import NamedTuple

from tests.kyverno import recount
from tests.kyverno.api import Object, collection, place
from tests.kyverno.objects import pod, workload
from tests.kyverno.world import World

NAMESPACES = ("carts", "catalog", "checkout")
COST_CENTER = {"CostCenter": "shop"}
ANYWHERE, OURS = "hub.test/nginx:1", "4711.registry.test/nginx:1"
NGINX = pod("default", "nginx", image=ANYWHERE)
NGINX_ECR = pod("default", "nginx-ecr", image=OURS)
NGINX_PUBLIC = pod("default", "nginx-public", image=ANYWHERE)
PRIVILEGED = pod("default", "privileged-pod", image=OURS)
PRIVILEGED["spec"]["containers"][0]["securityContext"] = {"privileged": True}
CARTS = workload("Deployment", "carts", "carts", labels=COST_CENTER)


class Row(NamedTuple):
    """One line of `kubectl get policyreports -A`."""

    namespace: str
    kind: str
    name: str
    passed: int
    failed: int
    warned: int = 0
    errors: int = 0
    skipped: int = 0


ROWS = [
    Row("carts", "Deployment", "carts", 3, 0, skipped=1),
    Row("carts", "ReplicaSet", "carts-5d59d67564", 2, 1),
    Row("carts", "ReplicaSet", "carts-757dbcfcf7", 3, 0),
    Row("carts", "ReplicaSet", "carts-995f7768c", 3, 0),
    Row("carts", "Pod", "carts-995f7768c-x7k2p", 3, 0),
    Row("carts", "Deployment", "carts-dynamodb", 1, 2),
    Row("carts", "ReplicaSet", "carts-dynamodb-5d59d67564", 1, 2),
    Row("carts", "Pod", "carts-dynamodb-5d59d67564-x7k2p", 1, 2),
    Row("catalog", "Deployment", "catalog", 2, 1),
    Row("catalog", "ReplicaSet", "catalog-5d59d67564", 2, 1),
    Row("catalog", "Pod", "catalog-5d59d67564-x7k2p", 2, 1),
    Row("catalog", "StatefulSet", "catalog-mysql", 2, 1),
    Row("catalog", "Pod", "catalog-mysql-0", 2, 1),
    Row("checkout", "Deployment", "checkout", 2, 1),
    Row("checkout", "ReplicaSet", "checkout-5d59d67564", 2, 1),
    Row("checkout", "Pod", "checkout-5d59d67564-x7k2p", 2, 1),
    Row("checkout", "Deployment", "checkout-redis", 2, 1),
    Row("checkout", "ReplicaSet", "checkout-redis-5d59d67564", 2, 1),
    Row("checkout", "Pod", "checkout-redis-5d59d67564-x7k2p", 2, 1),
    Row("default", "Pod", "nginx", 3, 1),
    Row("default", "Pod", "nginx-ecr", 4, 0),
]
"""The page's two tables, with the columns that it prints and names as controllers make them."""


def before_kyverno(world: World) -> None:
    """Run the shop: what fails two checks has an image of anywhere, what fails one no label."""
    for row in ROWS:
        if row.namespace == "default":
            continue
        image = ANYWHERE if row.failed == 2 else OURS
        labels = {} if row.failed else COST_CENTER
        make = workload if row.kind != "Pod" else _pod
        each = make(row.kind, row.namespace, row.name, image=image, labels=labels)
        owner = _owner(world, row)
        if owner:
            each["metadata"]["ownerReferences"] = [owner]
        assert not world.create(each).refused, row


def _pod(_kind: str, namespace: str, name: str, *, image: str, labels: dict[str, str]) -> Object:
    return pod(namespace, name, image=image, labels=labels)


def _owner(world: World, row: Row) -> Object | None:
    """Name what a controller would have made this for: the name without its generated end."""
    name = row.name.rpartition("-")[0]
    for kind in ("ReplicaSet", "StatefulSet", "Deployment"):
        path = f"{collection('apps/v1', kind, row.namespace)}/{name}"
        found = world.api.found(path) if name and row.kind in ("ReplicaSet", "Pod") else None
        if found:
            meta = found["metadata"]
            return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": meta["uid"]}
    return None


def story(world: World) -> None:
    """Let the policies come and people ask for Pods."""
    world.apply("seed-first.yaml")
    assert world.create(PRIVILEGED).refused
    assert not world.create(NGINX).refused
    assert not world.patch(CARTS, {"metadata": {"annotations": {"rolled-out": "again"}}}).refused
    world.apply("seed-then.yaml")
    assert world.create(NGINX_PUBLIC).refused
    assert not world.create(NGINX_ECR).refused


def objects(world: World) -> list[Object]:
    """Read the objects that the tables are about, each with its kind."""
    versions = {"Pod": "v1"}
    return [
        {
            "kind": row.kind,
            **world.api.get(f"{collection(version, row.kind, row.namespace)}/{row.name}"),
        }
        for row in ROWS
        for version in [versions.get(row.kind, "apps/v1")]
    ]


def table(world: World) -> list[Row]:
    """Return what `kubectl get policyreports -A` prints of the shop now."""
    return sorted(
        Row(
            report["metadata"]["namespace"],
            report["scope"]["kind"],
            report["scope"]["name"],
            *(report["summary"][word] for word in ("pass", "fail", "warn", "error", "skip")),
        )
        for report in recount.counted(recount.read(world.api).reports)
        if report["metadata"].get("namespace") in (*NAMESPACES, "default")
    )


def gone(world: World) -> bool:
    """Say whether the two refused Pods are not there."""
    return not any(world.api.found(place(each)) for each in (PRIVILEGED, NGINX_PUBLIC))
