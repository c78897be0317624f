"""A cluster with a Kyverno and an exporter in it, and a record of every refused request."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.cluster.harness import ControlPlane
from tests.kyverno import compare, recount
from tests.kyverno.api import MERGE, Answer, Api, Object, collection, place
from tests.kyverno.exposed import Exporter
from tests.kyverno.harness import Kyverno, load
from tests.kyverno.recount import Objects
from tests.kyverno.refusals import Refusal, refusal
from tests.kyverno.series import Family, policy_label, rule_label
from tests.kyverno.violations import Known
from tests.tools import eventually

MANIFESTS = Path(__file__).parent / "manifests"
# Kyverno writes a report 10 s after a request, and scans what changed after 30 s.
WITHIN_SECONDS = 150.0
SHOWN_WITHIN_SECONDS = 120.0
LOOK_SECONDS = 0.25


class Refused(NamedTuple):
    """One request that was refused."""

    kind: str
    namespace: str
    name: str
    refusal: Refusal


class World:
    """What the tests share. Names of resources are used once, so that each tells its story."""

    def __init__(self, plane: ControlPlane, kyverno: Kyverno, exporter: Exporter) -> None:
        self.plane = plane
        self.api = Api(plane)
        self.kyverno = kyverno
        self.exporter = exporter
        self.refused: list[Refused] = []
        self.recounts: list[str] = []
        self._annotations: dict[str, Mapping[str, str]] = {}
        self._lock = threading.Lock()

    # Requests

    def create(self, each: Object, *, dry_run: bool = False) -> Answer:
        """Create an object; a refusal is recorded with the verdicts that its answer names."""
        path = collection(each["apiVersion"], each["kind"], each["metadata"].get("namespace", ""))
        return self._record(each, self.api.call("POST", _dry(path, dry_run), each))

    def patch(self, each: Object, change: Object, *, dry_run: bool = False) -> Answer:
        """Change an object by a merge patch."""
        return self._record(each, self.api.call("PATCH", _dry(place(each), dry_run), change, MERGE))

    def delete(self, each: Object) -> Answer:
        """Delete an object."""
        return self._record(each, self.api.call("DELETE", place(each)))

    def _record(self, each: Object, answer: Answer) -> Answer:
        if answer.refused:
            why, meta = refusal(answer), each["metadata"]
            name = meta.get("name") or why.name
            with self._lock:
                self.refused.append(Refused(each["kind"], meta.get("namespace", ""), name, why))
        return answer

    def start_api_server(self) -> None:
        """Start the API server after it was killed, and dial it anew."""
        self.plane.apiserver.start()
        self.api.close()

    # Policies

    def apply(self, file: str) -> list[Object]:
        """Apply a file of manifests and wait until Kyverno calls its policies ready."""
        objects = load(MANIFESTS / file)
        self.api.apply(objects)
        for each in objects:
            if "expected-mode" in each["metadata"].get("annotations", {}):
                self.until_ready(place(each))
        return objects

    def until_ready(self, path: str) -> Object:
        """Wait until Kyverno calls a policy ready."""
        return eventually(
            lambda: policy if recount.is_ready(policy := self.api.get(path)) else None,
            within=WITHIN_SECONDS,
            every=LOOK_SECONDS,
            what=f"{path} is ready",
        )

    # Reports

    def report(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the report about a resource, of whichever group counts."""
        for each in recount.counted(recount.read(self.api).reports):
            about = each["scope"]
            found = (about["kind"], about.get("namespace", ""), about["name"])
            if found == (kind, namespace, name):
                return each
        return None

    def shown(self, family: str, **given: str) -> float:
        """Add up what the exporter shows now of the series with these labels."""
        wanted = set(given.items())
        series = self.exporter.scrape(family).get(family, {})
        return sum(value for key, value in series.items() if wanted <= key)

    def words(self, kind: str, namespace: str, name: str) -> dict[str, str]:
        """Return the result of each policy and rule in the report about a resource."""
        report = self.report(kind, namespace, name)
        return {
            f"{r['policy']}/{rule_label(r.get('rule', ''))}": r["result"]
            for r in (report or {}).get("results", [])
        }

    # Recounts

    def until(self, seen: Callable[[], object], what: str) -> None:
        """Wait until Kyverno has done something."""
        eventually(seen, within=WITHIN_SECONDS, every=LOOK_SECONDS, what=what)

    def recount(self, when: str, exporter: Exporter | None = None) -> Objects:
        """Hold all that the exporter shows against a recount.

        Each family is compared at a moment at which what it is made of did not change: Kyverno's
        scans never rest for long, and a look at everything takes a while.
        """
        shown_by = exporter or self.exporter

        before, left = recount.read(self.api), {"": ["never at rest"]}

        def look() -> Objects | None:
            nonlocal before, left
            shown, was = shown_by.scrape(), before
            before = recount.read(self.api)
            wrong = compare.differences(shown, self.expected(before))
            if "" in left:
                left = {family: ["never at rest"] for family in wrong}
            for family in left.keys() & compare.at_rest(was, before):
                left[family] = wrong[family]
            left = {family: lines for family, lines in left.items() if lines}
            return None if left else before

        try:
            found = eventually(look, within=SHOWN_WITHIN_SECONDS, every=LOOK_SECONDS, what=when)
        except AssertionError as error:
            lines = [f"{family}: {line}" for family, each in left.items() for line in each]
            raise AssertionError(f"recount of {when}:\n" + "\n".join(lines)) from error
        self.recounts.append(when)
        return found

    def expected(self, objects: Objects) -> Mapping[str, Family]:
        """Work out what is to be shown of these objects, and of what is gone."""
        for policy in objects.policies:
            meta = policy["metadata"]
            self._annotations[policy_label(meta)] = meta.get("annotations", {})
        denials = frozenset(
            (each.kind, each.namespace, each.name, verdict.policy)
            for each in self.refused
            for verdict in each.refusal.verdicts
        )
        return recount.expected(objects, Known(denials, self._annotations))


def _dry(path: str, dry_run: bool) -> str:
    return f"{path}?dryRun=All" if dry_run else path
