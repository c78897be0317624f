"""A snapshot says once what stands, in files or in a cluster."""

import io
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from exporter.cli import main
from exporter.model.resource import EVENTS, POLICY_REPORTS
from exporter.simulator.checks import LABELS
from exporter.simulator.kyverno import ReportTarget
from exporter.simulator.sample import sample
from exporter.simulator.store import Store
from exporter.simulator.world import World
from exporter.snapshot.reading import Progress
from tests.apiserver.faults import Answer
from tests.app.commands import ROOT, words
from tests.app.conftest import Beside
from tests.app.running import EVENTS_TOTAL, parse, summaries, total
from tests.app.test_demo import WORKSHOP, page_sums, workshop_of
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import free_port

pytestmark = pytest.mark.tier("simulator")

Object = dict[str, Any]
Text = pytest.CaptureFixture[str]


def objects(world: World, storage: str) -> list[Object]:
    return [stored.data for stored in world.store.all(storage)]


def listed(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}


@pytest.fixture
def world() -> World:

    return sample(Store(time.time))


@pytest.fixture
def page(world: World) -> list[Object]:
    """What kubectl get policyreports,events -A prints of the workshop's page."""
    reports = objects(world, POLICY_REPORTS.name)
    mine = [each for each in reports if each["metadata"]["namespace"] in WORKSHOP]
    return mine + objects(world, EVENTS.name)


def core(event: Object) -> Object:
    """Spell an Event as kubectl prints it, in core/v1."""
    given = dict(event)
    names = {"regarding": "involvedObject", "note": "message"}
    names |= {"reportingController": "reportingComponent"}
    dropped = [name for name in given if name.startswith("deprecated")]
    kept = {names.get(k, k): v for k, v in given.items() if k not in dropped}
    return kept | {"apiVersion": "v1", "firstTimestamp": None, "lastTimestamp": None, "source": {}}


def as_kubectl(items: list[Object]) -> list[Object]:
    return [core(each) if each["kind"] == "Event" else each for each in items]


FORMS: dict[str, Callable[[list[Object]], dict[str, str]]] = {
    "a List as JSON": lambda items: {"a.json": json.dumps(listed(items))},
    "core Events": lambda items: {"a.json": json.dumps(listed(as_kubectl(items)), indent=4)},
    "a List as YAML": lambda items: {"a.yaml": yaml.safe_dump(listed(items))},
    "YAML documents": lambda items: {"a.yaml": yaml.safe_dump_all(items)},
    "JSON by line": lambda items: {"a.json": "\n".join(map(json.dumps, items)) + "\n"},
    "JSON lists one behind the other": lambda items: {
        "a.json": json.dumps(listed(items[:5]), indent=4) + json.dumps(listed(items[5:]), indent=4)
    },
    "JSON documents with separators": lambda items: {
        "a.json": "---\n".join(json.dumps(each) + "\n" for each in items)
    },
    "an array": lambda items: {"a.json": json.dumps(items)},
    "lists in lists": lambda items: {
        "a.json": json.dumps(listed([listed(items[:5]), listed([listed(items[5:])])]))
    },
    "YAML lists without separators": lambda items: {
        "a.yaml": yaml.safe_dump(listed(items[:5])) + yaml.safe_dump(listed(items[5:]))
    },
    "YAML objects without separators": lambda items: {
        "a.yaml": "".join(map(yaml.safe_dump, items))
    },
    "kyverno apply": lambda items: {
        "a.yaml": "\nApplying 2 policy rules to 3 resources...\n(The count may vary.)\n"
        + "-" * 70
        + "\nPOLICY REPORT:\n"
        + "-" * 70
        + "\n"
        + yaml.safe_dump(listed(items))
    },
    "a file each": lambda items: {f"{n}.json": json.dumps(i) for n, i in enumerate(items)},
    "both": lambda items: {
        "a.json": json.dumps(listed(items[:5])),
        "b.yaml": yaml.safe_dump(listed(items[5:])),
    },
    "a typed list": lambda items: {
        "a.json": json.dumps(
            {
                "apiVersion": POLICY_REPORTS.api_version,
                "kind": "PolicyReportList",
                "items": [
                    {k: v for k, v in each.items() if k not in ("kind", "apiVersion")}
                    for each in items
                    if each["kind"] == "PolicyReport"
                ],
            }
        ),
        "b.json": json.dumps(listed([each for each in items if each["kind"] == "Event"])),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_page_in_any_form_gives_the_pages_sums(
    form: str, page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    files = FORMS[form](page)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["snapshot", *(str(tmp_path / n) for n in files), "--output=prometheus"]) == 0
    assert summaries(parse(capsys.readouterr().out)) == page_sums()


def shown(items: list[Object], tmp_path: Path, capsys: Text, *flags: str) -> str:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(items)))
    assert main(["snapshot", str(path), *flags]) == 0
    return capsys.readouterr().out


def test_the_pages_two_event_lines_are_one_blocked_request_each(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    samples = parse(shown(page, tmp_path, capsys, "--output=prometheus"))
    where = {"namespace": "default", "kind": "Pod", "outcome": "blocked"}
    first = where | {"policy": "baseline-policy", "rule": "baseline"}
    second = where | {"policy": "restrict-image-registries", "rule": "validate-registries"}
    assert total(samples, EVENTS_TOTAL, **first) == 1
    assert total(samples, EVENTS_TOTAL, **second) == 1
    assert total(samples, EVENTS_TOTAL) == 2


def test_an_audited_violation_with_its_two_events_is_one(
    world: World, tmp_path: Path, capsys: Text
) -> None:
    world.audit(LABELS, ReportTarget("Pod", "orders", "late", "u"))
    events = objects(world, EVENTS.name)
    assert len(events) == 4
    samples = parse(shown(as_kubectl(events), tmp_path, capsys, "--output=prometheus"))
    assert total(samples, EVENTS_TOTAL, outcome="allowed") == 1


def test_standard_input_is_a_dash(
    page: list[Object], capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(listed(page)).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert main(["snapshot", "-", "--output=openmetrics"]) == 0
    out = capsys.readouterr().out
    families = {family.name: family for family in openmetrics(out)}
    assert sum(s.value for s in families["policyviolation_events"].samples) == 2
    assert out.endswith("# EOF\n")


def test_json_says_the_same_as_the_metrics(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    every = "--count=objects"
    found = json.loads(shown(page, tmp_path, capsys, "--output=json", every))
    assert found["reports"] == 21
    assert found["results"]["fail"] == sum(n for k, n in page_sums().items() if k[2] == "fail")
    assert [each["name"] for each in found["blocked"]] == ["nginx-public", "privileged-pod"]
    summary = {(each["namespace"], each["kind"]): each["counts"] for each in found["summary"]}
    assert summary["carts", "ReplicaSet"]["fail"] == 3


def test_the_table_names_what_fails_and_is_plain_in_a_pipe(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    out = shown(page, tmp_path, capsys)
    assert "\x1b" not in out
    for text in ("21 reports", "carts-dynamodb", "restrict-image-registries", "privileged-pod"):
        assert text in out


def test_the_table_is_coloured_at_a_terminal(page: list[Object], tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    assert "\x1b[" in at_terminal(tmp_path, 120, str(path))
    plain = at_terminal(tmp_path, 120, str(path), NO_COLOR="1")
    assert "\x1b[" not in plain
    assert "Failing results by workload" in plain
    assert "by workload" not in at_terminal(tmp_path, 120, str(path), "--group-by=none")


@contextmanager
def watched(path: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Watch a file into a pipe; interrupted at the end."""
    with subprocess.Popen(
        words("snapshot", str(path), "--watch"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    ) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=30)


def until(stream: IO[bytes], text: bytes) -> bytes:
    """Read lines up to one that holds a text; the program's end is a failure."""
    lines = b""
    while text not in lines:
        line = stream.readline()
        assert line, lines
        lines += line
    return lines


def test_a_watched_snapshot_writes_no_control_codes_into_a_pipe(
    page: list[Object], tmp_path: Path
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    with watched(path, tmp_path) as child:
        assert child.stdout
        first = until(child.stdout, b"checks comply")
        again = until(child.stdout, b"checks comply")
    assert child.returncode == 130
    for text in (first, again):
        assert b"\x1b" not in text
        assert b"carts-dynamodb" in text


def test_watching_goes_on_when_it_cannot_be_read_for_once(
    page: list[Object], tmp_path: Path
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    with watched(path, tmp_path) as child:
        assert child.stdout
        assert child.stderr
        until(child.stdout, b"checks comply")
        path.write_text("{")
        until(child.stderr, b"trying again")
        path.write_text(json.dumps(listed(page)))
        until(child.stdout, b"checks comply")
    assert child.returncode == 130


def at_terminal(directory: Path, columns: int, *arguments: str, **more: str) -> str:
    """Run the command at a terminal as wide as that, and give what it shows."""
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm", **more}
    with subprocess.Popen(
        words("snapshot", *arguments), stdout=follower, env=environment, cwd=directory
    ) as child:
        os.close(follower)
        out = read_all(leader).decode()
    assert child.returncode == 0
    return out


def read_all(terminal: int) -> bytes:
    parts = []
    try:
        while part := os.read(terminal, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other end has gone
        pass
    finally:
        os.close(terminal)
    return b"".join(parts)


def test_a_hundred_percent_means_all(tmp_path: Path, capsys: Text) -> None:
    head = {"apiVersion": POLICY_REPORTS.api_version, "kind": POLICY_REPORTS.kind}
    items: list[Object] = [
        head
        | {
            "metadata": {"name": f"r{number}", "namespace": "team-a"},
            "scope": {"kind": "Pod", "name": f"web-{number}"},
            "results": [
                {"policy": "p", "source": "kyverno", "result": "pass" if number else "fail"}
            ],
        }
        for number in range(5000)
    ]
    assert "99.9 % of 5,000 checks comply" in shown(items, tmp_path, capsys)


def test_nothing_to_judge_is_said(tmp_path: Path, capsys: Text) -> None:
    assert "No policy reports found" in shown([], tmp_path, capsys)


@pytest.mark.parametrize("columns", [80, 100])
def test_a_narrow_terminal_breaks_no_word_into_letters(
    columns: int, page: list[Object], tmp_path: Path
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    lines = at_terminal(tmp_path, columns, str(path), NO_COLOR="1").splitlines()
    assert max(map(len, lines)) <= columns
    [row] = [line for line in lines if line.rstrip().endswith("default/Pod/nginx")]
    assert row.split()[:2] == ["medium", "fail"]
    assert "restrict-image-registries: validate-registries" in lines[lines.index(row) + 1]
    assert "Unknown Image registry" in " ".join(lines[lines.index(row) + 2 :][:3])
    assert any("SEVERITY" in line and "RESULT" in line and "SINCE" in line for line in lines)


def test_a_pipe_has_a_row_a_line_and_no_padding(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    lines = shown(page, tmp_path, capsys).splitlines()
    assert not any("  " in line.partition("MESSAGE")[0] for line in lines if "\t" in line)
    assert not any(line.endswith((" ", "\t")) and line.strip() for line in lines)
    [row] = [line.split("\t") for line in lines if "\tnginx\t" in line]
    assert row[:2] == ["medium", "fail"]
    assert row[3:8] == [
        *("default", "Pod", "nginx", "restrict-image-registries", "validate-registries"),
    ]
    assert row[8].startswith("validation error: Unknown Image registry")


def test_columns_lay_a_pipe_out_without_colour(
    page: list[Object], tmp_path: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = shown(page, tmp_path, capsys)
    assert "\x1b" not in out
    assert "\t" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_what_fails_comes_first_and_the_totals_last(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    out = shown(page, tmp_path, capsys)
    order = ["Failing results", "Worst namespaces", "Worst policies", "\nTOTAL", "checks comply"]
    places = [out.index(each) for each in order[:3]] + [out.rindex(each) for each in order[3:]]
    assert places == sorted(places)


class Terminal(io.StringIO):
    """Standard error at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "said"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_one_line_at_a_terminal_only(
    stream: io.StringIO, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress(every_seconds=0.0)
    progress.took(3_000_000)
    progress.show("files", 250)
    progress.clear()
    line = "\rfiles: 250 objects read, 3 MB, 0 s\x1b[K\r\x1b[K"
    assert stream.getvalue() == (line if said else "")


FAIL_ON = {
    "fail": 1,
    "fail:critical": 0,
    "fail:low": 1,
    "error": 1,
    "error:critical": 0,
    "warn:critical": 0,
}


@pytest.mark.parametrize(("text", "status"), FAIL_ON.items())
def test_fail_on_asks_for_a_result_that_bad(
    text: str, status: int, page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    assert main(["snapshot", str(path), f"--fail-on={text}"]) == status
    assert capsys.readouterr().out


@pytest.mark.parametrize("text", ["failed", "fail:bad", "pass", ""])
def test_fail_on_says_what_it_takes(text: str, capsys: Text) -> None:
    assert main(["snapshot", "x", f"--fail-on={text}"]) == 2
    assert f"--fail-on {text}: expected fail, error, warn or new" in capsys.readouterr().err


WORDS = {
    "--result=fial": "--result fial: expected one of pass, fail, warn, error, skip",
    "--severity=hgh": "--severity hgh: expected one of critical, high, medium, low, info, none",
}


@pytest.mark.parametrize(("flag", "said"), WORDS.items())
def test_a_mistyped_word_is_no_filter_that_lets_nothing_fail(
    flag: str, said: str, page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(page)))
    assert main(["snapshot", str(path), "--fail-on=fail", flag]) == 2
    assert said in capsys.readouterr().err


NOT_TOGETHER = {
    "watched and judged": ["x", "--watch", "--fail-on=fail"],
    "standard input again": ["-", "--watch"],
    "a display filter and the gate": ["x", "--result=pass", "--fail-on=fail"],
    "a severity and the gate": ["x", "--severity=low", "--fail-on=fail"],
    "a severity in metrics": ["x", "--severity=high", "--output=prometheus"],
}


@pytest.mark.parametrize("flags", NOT_TOGETHER.values(), ids=NOT_TOGETHER.keys())
def test_flags_that_do_not_go_together_are_said(flags: list[str], capsys: Text) -> None:
    assert main(["snapshot", *flags]) == 2
    assert "cannot be combined with" in capsys.readouterr().err


def test_a_flag_that_needs_another_one_names_it(capsys: Text) -> None:
    assert main(["snapshot", "x", "--allow-empty"]) == 2
    assert "--allow-empty needs --fail-on" in capsys.readouterr().err


NARROWED = {
    "--namespace=carts": {"carts"},
    "--policy=restrict-*": set(WORKSHOP),
}


@pytest.mark.parametrize(("flag", "namespaces"), NARROWED.items())
def test_flags_narrow_what_is_shown(
    flag: str, namespaces: set[str], page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    samples = parse(shown(page, tmp_path, capsys, "--output=prometheus", flag))
    found = [series for series in samples if series.name == "policyreport_results"]
    assert {series.label("namespace") for series in found} <= namespaces
    policies = {series.label("policy") for series in found}
    assert len(policies) == 1 if flag.startswith("--policy") else len(policies) > 1


def test_one_result_word_and_one_severity_can_be_asked_for(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    found = json.loads(shown(page, tmp_path, capsys, "--output=json", "--result=fail"))
    assert found["results"] | {"fail": 0} == dict.fromkeys(found["results"], 0)
    found = json.loads(shown(page, tmp_path, capsys, "--output=json", "--severity=medium"))
    assert {each["severity"] for each in found["failing"]} == {"medium"}
    assert found["failing_by_severity"] == {"medium": len(found["failing"])}
    assert found["results"]["fail"] == len(found["failing"])
    assert sum(each["results"]["fail"] for each in found["namespaces"]) == len(found["failing"])
    assert [each["name"] for each in found["policies"]] == ["restrict-image-registries"]


def test_the_headline_adds_up_where_some_could_not_be_judged(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    [pod] = [each for each in page if each.get("scope", {}).get("name") == "nginx"]
    pod["results"][0]["result"] = "error"
    found = json.loads(shown(page, tmp_path, capsys, "--output=json"))
    count = sum(found["failing_by_severity"].values())
    assert count == len(found["failing"])
    assert f"{count} failing results" in shown(page, tmp_path, capsys)


def test_one_broken_item_among_a_thousand_is_named_and_the_rest_counts(
    tmp_path: Path, capsys: Text
) -> None:
    head = {"apiVersion": POLICY_REPORTS.api_version, "kind": POLICY_REPORTS.kind}
    items: list[Object] = [
        head
        | {
            "metadata": {"name": f"r{number}", "namespace": "team-a"},
            "scope": {"kind": "Pod", "name": f"web-{number}"},
            "summary": {"pass": 1},
            "results": [{"policy": "p", "result": "pass", "source": "kyverno"}],
        }
        for number in range(1000)
    ]
    items[500]["results"] = [{"policy": 7}]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(items)))
    assert main(["snapshot", str(path), "--output=prometheus"]) == 0
    said = capsys.readouterr()
    assert summaries(parse(said.out)) == {("team-a", "Pod", "pass"): 999}
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"skipped: {path}: ")
    assert "team-a/r500" in said.err
    assert "results[0].policy" in said.err


TOKENS = {"NaN": b"NaN", "half of a pair": rb'"\ud800"', "no UTF-8": b'"\xff"'}


@pytest.mark.parametrize("typed", [True, False], ids=["typed list", "List"])
@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
def test_an_item_that_no_decoder_takes_is_named_and_the_rest_counts(
    token: bytes, typed: bool, world: World, tmp_path: Path, capsys: Text
) -> None:
    items = objects(world, POLICY_REPORTS.name)
    mine = items[7]["metadata"]
    items[7]["scope"]["name"] = "here"
    head = {"apiVersion": POLICY_REPORTS.api_version, "kind": "PolicyReportList"}
    bare = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items]
    whole = head | {"items": bare} if typed else listed(items)
    path = tmp_path / "list.json"
    path.write_bytes(json.dumps(whole).encode().replace(b'"here"', token))
    assert main(["snapshot", str(path), "--output=json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["reports"] == len(items) - 1
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"skipped: {path}: ")
    assert f"{mine['namespace']}/{mine['name']}" in said.err


def test_an_item_that_is_no_object_is_skipped_and_said(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed([*page, 7])))  # type: ignore[list-item]  # what is tested
    assert main(["snapshot", str(path)]) == 0
    said = capsys.readouterr()
    assert "21 reports" in said.out
    assert said.err.startswith(f"skipped: {path}: ")


def test_objects_of_other_kinds_are_passed_over(
    page: list[Object], tmp_path: Path, capsys: Text
) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    assert "21 reports" in shown([pod, *page], tmp_path, capsys)


def test_a_file_with_nothing_of_what_counts_is_not_taken_for_a_clean_cluster(
    tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "pods.json"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    path.write_text(json.dumps(listed([pod, pod])))
    assert main(["snapshot", str(path)]) == 0
    said = capsys.readouterr()
    assert "No policy reports found" in said.out
    assert said.err.startswith(
        "no report, event, policy or namespace found, but 2 objects of other kinds\n"
    )


BROKEN = {
    "nothing": (b"", ": empty, expected what kubectl get -o json or yaml prints"),
    "white space": (b" \n", ": empty, expected what kubectl get -o json or yaml prints"),
    "a comment": (b"# nothing\n---\n", ": empty, expected what kubectl get -o json or yaml prints"),
    "text": (b"hello", "not JSON as kubectl prints it"),
    "cut": (b'{"apiVersion": "v1", "items": [', "not JSON as kubectl prints it"),
    "an array": (b"[1]", "not JSON as kubectl prints it"),
    "YAML": (b"a: [\n", ":2: neither JSON nor YAML"),
    "binary": (b"\xff\xfe\x00\x00", "neither JSON nor YAML"),
    "not UTF-8": (b'{"kind": "\xff"}', "not JSON as kubectl prints it"),
    "YAML in itself": (b"kind: &a [*a]\n", "neither"),
    "a second document that is cut": (b"{}\n{\n", ":2: not JSON as kubectl prints it"),
    "text between documents": (
        b"{}\nError: x\n{}",
        ":2: expected a JSON object or list, found 'Er",
    ),
    "a second YAML document": (b"kind: A\n---\na: [\n", ":4: neither JSON nor YAML"),
    "a repeated key": (
        b"kind: Pod\nmetadata:\n  name: a\n  name: b\n",
        ":4: neither JSON nor YAML: the key name is repeated",
    ),
    "a repeated key of the object": (
        b"kind: Pod\nspec: {}\nspec: {}\n",
        "the key spec is repeated",
    ),
    "lists in lists without an end": (
        b"[" * 20 + b"]" * 20,
        "lists are nested more than 8 levels deep",
    ),
}


@pytest.mark.parametrize(("body", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_list_is_said_with_the_file(
    body: bytes, said: str, tmp_path: Path, capsys: Text
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(body)
    assert main(["snapshot", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"policy-report-exporter: {path}")
    assert said in error


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: Text) -> None:
    assert main(["snapshot", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'}: cannot be read: No such file" in capsys.readouterr().err


def test_a_cluster_is_read_like_its_files(beside: Beside, capsys: Text) -> None:
    arguments = ["snapshot", f"--kubeconfig={beside.kubeconfig}", "--output=prometheus"]
    assert main(arguments) == 0
    samples = parse(capsys.readouterr().out)
    assert workshop_of(samples) == page_sums()
    assert total(samples, EVENTS_TOTAL, outcome="blocked") == 2


def summarised(beside: Beside, tmp_path: Path) -> list[str]:
    config = tmp_path / "config.yaml"
    config.write_text("reports: {detail: summary}\n")
    return ["snapshot", f"--kubeconfig={beside.kubeconfig}", f"--config.file={config}"]


def test_summaries_are_summed_up_and_what_they_do_not_tell_is_null(
    beside: Beside, tmp_path: Path, capsys: Text
) -> None:
    assert main(["snapshot", f"--kubeconfig={beside.kubeconfig}", "--output=json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main([*summarised(beside, tmp_path), "--output=json", "--fail-on=fail"]) == 1
    found = json.loads(capsys.readouterr().out)
    for name in ("summary", "resources", "results", "namespaces"):
        assert found[name] == whole[name], name
    assert [found[n] for n in ("failing", "policies", "failing_by_severity")] == [None] * 3


@pytest.mark.parametrize(
    "flag", ["--fail-on=fail:high", "--policy=a", "--severity=low", "--result=fail"]
)
def test_summaries_refuse_what_they_cannot_tell(
    flag: str, beside: Beside, tmp_path: Path, capsys: Text
) -> None:
    assert main([*summarised(beside, tmp_path), flag]) == 2
    assert "cannot be used with reports.detail: summary" in capsys.readouterr().err


def test_one_namespace_of_a_cluster_can_be_asked_for(beside: Beside, capsys: Text) -> None:
    arguments = ["snapshot", f"--kubeconfig={beside.kubeconfig}", "--output=prometheus"]
    assert main([*arguments, "--namespace=carts"]) == 0
    found = {key[0] for key in summaries(parse(capsys.readouterr().out))}
    assert found == {"carts"}


def test_a_kind_that_is_refused_is_said_and_the_rest_is_shown(beside: Beside, capsys: Text) -> None:
    beside.do(lambda: beside.api.faults.add(Answer(403, "no"), EVENTS.name, times=None))
    arguments = ["snapshot", f"--kubeconfig={beside.kubeconfig}", "--output=prometheus"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "events.events.k8s.io: no (403)" in said.err
    assert workshop_of(parse(said.out)) == page_sums()


REFUSED = {
    "everything": (Answer(403, "may not"), "may not (403)"),
    "an expired token": (Answer(401, "Unauthorized"), "Unauthorized (401)"),
    "a broken server": (Answer(500, "etcd"), "etcd (500)"),
}


@pytest.mark.parametrize(("fault", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_cluster_that_refuses_is_status_three(
    fault: Answer, said: str, beside: Beside, capsys: Text
) -> None:
    beside.do(lambda: beside.api.faults.add(fault, times=None))
    assert main(["snapshot", f"--kubeconfig={beside.kubeconfig}"]) == 3
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "Traceback" not in error


def test_a_cluster_that_nobody_answers_for_is_named(tmp_path: Path, capsys: Text) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    assert main(["snapshot", f"--kubeconfig={kubeconfig(tmp_path, server, {'token': 't'})}"]) == 3
    assert server.removeprefix("http://") in capsys.readouterr().err


def test_a_report_of_the_oldest_version_is_counted_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        {"policy": "p", "rule": each, "status": each, "resources": [{"kind": "Pod", "name": "a"}]}
        for each in ("pass", "fail")
    ]
    old = {"apiVersion": "wgpolicyk8s.io/v1alpha1", "kind": "PolicyReport", "results": results}
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(old | {"metadata": {"name": "r", "namespace": "shop"}}))
    config = tmp_path / "config.yaml"
    config.write_text("sources: ['']\n")
    status = main(
        [
            "snapshot",
            str(path),
            "--output",
            "json",
            "--fail-on",
            "fail",
            "--config.file",
            str(config),
        ]
    )
    assert (status, json.loads(capsys.readouterr().out)["results"]["fail"]) == (1, 1)


def reports(*words: str, source: str = "kyverno") -> list[Object]:
    head = {"apiVersion": POLICY_REPORTS.api_version, "kind": POLICY_REPORTS.kind}
    return [
        head
        | {
            "metadata": {"name": f"r{number}", "namespace": "shop"},
            "scope": {"kind": "Pod", "name": f"web-{number}"},
            "results": [{"policy": "p", "rule": "r", "source": source, "result": word}],
        }
        for number, word in enumerate(words)
    ]


def gated(items: list[Object], tmp_path: Path, *flags: str) -> int:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(items)))
    return main(["snapshot", str(path), "--fail-on=fail", *flags])


def test_a_gate_that_fails_prints_counts_and_the_first_resources(
    tmp_path: Path, capsys: Text
) -> None:
    assert gated(reports(*["fail"] * 12), tmp_path) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "--fail-on fail: failed: 12 failing results (12 none)"
    assert said[1] == "  none fail shop/Pod/web-0 p: r"
    assert said[-1] == "  and 2 more"
    assert len(said) == 12


ACCEPTED = {
    "no reports": (reports(), 2, 0),
    "another source": (reports("fail", source="Falco"), 2, 0),
    "an unknown word": (reports("Fail"), 3, 3),
    "a failure": (reports("fail"), 1, 1),
}


@pytest.mark.parametrize(("items", "closed", "allowed"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_nothing_to_evaluate_passes_only_where_that_is_allowed(
    items: list[Object], closed: int, allowed: int, tmp_path: Path, capsys: Text
) -> None:
    assert gated(items, tmp_path) == closed
    assert capsys.readouterr().err
    assert gated(items, tmp_path, "--allow-empty") == allowed


def test_a_typing_error_in_a_filter_is_never_green(tmp_path: Path, capsys: Text) -> None:
    for flag in ("--policy=q", "--namespace=shopp"):
        assert gated(reports("pass"), tmp_path, flag, "--allow-empty") == 2
        assert flag.replace("=", " ") in capsys.readouterr().err


def test_results_that_the_file_leaves_out_cannot_be_judged(tmp_path: Path, capsys: Text) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("results: [pass]\n")
    assert gated(reports("fail"), tmp_path, f"--config.file={config}") == 2
    assert "results: the configuration file leaves out fail" in capsys.readouterr().err


@pytest.mark.parametrize(("word", "status"), [("pass", 0), ("fail", 1)])
def test_a_reader_that_has_gone_changes_no_verdict(word: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps(listed(reports(*[word] * 3000))))
    with subprocess.Popen(
        words("snapshot", str(path), "--fail-on=fail", "--output=json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    ) as child:
        assert child.stdout
        child.stdout.close()
        assert child.stderr
        said = child.stderr.read()
    assert child.returncode == status, said
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said
