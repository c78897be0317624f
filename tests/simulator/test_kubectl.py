"""A real kubectl finds its way around, and prints what the workshop's page shows."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.model.resource import POLICY_REPORTS
from exporter.simulator.sample import sample
from exporter.simulator.store import Store
from tests.apiserver import Simulator
from tests.simulator.test_sample import EVENTS_SEEN, PAGE
from tests.tools import tool

pytestmark = pytest.mark.tier("cluster")


class Kubectl:
    """Runs kubectl against one server, with nothing of the user's own configuration."""

    def __init__(self, url: str, home: Path) -> None:
        self._program = tool("kubectl")
        self._url = url
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": ""}

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            self._program,
            f"--server={self._url}",
            *words,
            env=self._environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )

    async def __call__(self, *words: str, given: str = "") -> str:
        running = await self.start(*words)
        async with asyncio.timeout(60):
            out, err = await running.communicate(given.encode())
        assert running.returncode == 0, err.decode()
        return out.decode()


@pytest.fixture
def store() -> Store:
    # Ages are printed by kubectl's server, that is by this clock, which stands still.
    store = Store(lambda: 1_795_435_200.0)
    sample(store)
    return store


@pytest.fixture
async def kubectl(store: Store, tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with Simulator(store) as api:
        yield Kubectl(api.url, tmp_path)


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


async def test_get_policyreports_prints_the_pages_table(kubectl: Kubectl) -> None:
    header, *rows = squeezed(await kubectl("get", "policyreports", "-A"))
    assert header == "NAMESPACE NAME KIND NAME PASS FAIL WARN ERROR SKIP AGE"
    assert [row for row in rows if row in squeezed(PAGE)] == squeezed(PAGE)
    assert len(rows) > len(squeezed(PAGE))


async def test_get_events_prints_the_blocked_requests(kubectl: Kubectl) -> None:
    header, *rows = squeezed(await kubectl("get", "events", "-A"))
    assert header == "NAMESPACE LAST SEEN TYPE REASON OBJECT MESSAGE"
    assert rows == [f"default {line}" for line in squeezed(EVENTS_SEEN)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clusterpolicies"], "baseline-policy true true True 179m Ready"),
        (["cpol", "add-default-deny"], "add-default-deny true true False 179m"),
        (["pol", "-A"], "default require-requests true true True 179m Ready"),
        (["vpol"], "disallow-host-path 179m true"),
        (["vpol.v1beta1.policies.kyverno.io"], "require-probes 179m true"),
        (["namespaces", "--show-labels"], "team=storefront"),
        (["cpolr"], "Namespace sandbox 0 1 0 0 0 179m"),
        (["pods", "-n", "default"], "nginx-ecr Running 27s"),
        (["events.events.k8s.io", "-n", "default"], "clusterpolicy/baseline-policy"),
        (["ev", "-A", "--field-selector=involvedObject.name=baseline-policy"], "privileged-pod"),
        (["polr", "-A", "--chunk-size=7"], "default ea02cd57-8684-43ad-8e8f-c0140beeec2b"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
async def test_get(kubectl: Kubectl, words: list[str], expected: str) -> None:
    assert expected in "\n".join(squeezed(await kubectl("get", *words)))


async def test_json_is_a_list_of_whole_objects(kubectl: Kubectl) -> None:
    found = json.loads(await kubectl("get", "policyreports,events", "-A", "-o", "json"))
    kinds = [item["kind"] for item in found["items"]]
    assert kinds.count("Event") == 2
    assert kinds.count("PolicyReport") == len(kinds) - 2 > 21


async def test_describe_shows_the_failing_result(kubectl: Kubectl) -> None:
    report = "ea02cd57-8684-43ad-8e8f-c0140beeec2b"
    told = squeezed(await kubectl("describe", "policyreport", report, "-n", "default"))
    assert "Policy: restrict-image-registries" in told
    assert "Rule: validate-registries" in told


async def test_watch_prints_a_row_for_each_change(kubectl: Kubectl, store: Store) -> None:
    running = await kubectl.start("get", "policyreports", "-n", "default", "-w")
    assert running.stdout
    async with asyncio.timeout(60):
        lines = [await running.stdout.readline() for _ in range(3)]
        assert lines[0].split()[:4] == [b"NAME", b"KIND", b"NAME", b"PASS"]
        stored = store.get(POLICY_REPORTS.name, "default", "ea02cd57-8684-43ad-8e8f-c0140beeec2b")
        assert stored
        metadata = stored.data["metadata"] | {"resourceVersion": ""}
        summary = stored.data["summary"] | {"pass": 4, "fail": 0}
        changed = stored.data | {"metadata": metadata, "summary": summary}
        # kubectl lists, then watches: the change may fall between, and is seen all the same.
        store.replace(POLICY_REPORTS.name, changed)
        seen = (await running.stdout.readline()).split()
    running.terminate()
    await running.communicate()
    assert seen[1:5] == [b"Pod", b"nginx", b"4", b"0"]


async def test_create_and_delete_write_to_the_store(kubectl: Kubectl, store: Store) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}
    await kubectl("create", "--validate=false", "-f", "-", given=json.dumps(namespace))
    assert store.get("namespaces", "", "fresh")
    report = {
        "apiVersion": POLICY_REPORTS.api_version,
        "kind": "PolicyReport",
        "metadata": {"name": "mine", "namespace": "fresh"},
    }
    given = json.dumps(report)
    await kubectl("create", "--validate=false", "-f", "-", given=given)
    assert store.get(POLICY_REPORTS.name, "fresh", "mine")
    await kubectl("delete", "policyreport", "mine", "-n", "fresh")
    assert not store.get(POLICY_REPORTS.name, "fresh", "mine")


async def test_api_resources_names_both_versions_of_events(kubectl: Kubectl) -> None:
    rows = squeezed(await kubectl("api-resources"))
    assert "events ev v1 true Event" in rows
    assert "events ev events.k8s.io/v1 true Event" in rows
    assert "policyreports polr wgpolicyk8s.io/v1alpha2 true PolicyReport" in rows
