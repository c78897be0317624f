"""What promtool makes of clusters: which alerts fire, from when to when, and how they read."""

import gzip
import hashlib
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from alerts.build import HERE
from tests.app.running import Samples
from tests.scenarios.world import Cluster, Labels, series
from tools.pins import cache

RULE_FILES = ("recording.rules.yaml", "alerts.rules.yaml")
ORDER = (
    "policy-report-history",
    "policy-report-stock",
    "policy-report-recording",
    "policy-report-news",
    "policy-report-dashboards",
    "policy-violations",
    "policy-enforcement",
    "policy-reports",
    "policy-exporter",
)
SCRAPED: Labels = (("__name__", "up"), ("instance", "exporter:9464"), ("job", "exporter"))
INHIBITOR = Path(__file__).parent / "info-inhibitor.rules.yaml"
FIRING = 'ALERTS{alertstate="firing"}'
BEGINS = f"{FIRING} unless {FIRING} offset 1m"
ENDS = f"{FIRING} offset 1m unless {FIRING}"
FINDING = re.compile(
    r'expr: (?P<expr>"(?:[^"\\]|\\.)*"), time: (?P<time>\w+),\s+exp: nil\s+got: (?P<got>.*)'
)
SAMPLE = re.compile(r'\{((?:\w+="(?:[^"\\]|\\.)*"(?:, )?)*)\} 1E\+00')
PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Fired(NamedTuple):
    """One alert from its start to its end, in minutes; what never ended has the end of the test."""

    labels: dict[str, str]
    start: int
    end: int

    @property
    def name(self) -> str:
        return self.labels["alertname"]


def run(
    clusters: Iterable[Cluster], promtool: Path, *, rules: Path = HERE, texts: Iterable[int] = ()
) -> tuple[list[Fired], str]:
    """Judge the clusters in one Prometheus; also return what promtool printed."""
    given = list(clusters)
    minutes = max(cluster.minutes for cluster in given)
    given_series = [
        {"series": _selector(labels), "values": _values(steps)}
        for cluster in given
        for labels, steps in series(cluster).items()
    ]
    files = _files(rules)
    output = _kept(_suite(given_series, minutes, files), promtool, files)
    return timeline(output, minutes), output


def standing(samples: Samples, promtool: Path, *, hours: int = 2) -> list[Fired]:
    """Judge what one exporter shows, as if every scrape for some hours had shown the same."""
    now = time.time()
    series = [{"series": _selector(SCRAPED), "values": f"1x{hours * 60}"}]
    for sample, value in samples.items():
        labels = (("__name__", sample.name), *sample.labels, *SCRAPED[1:])
        # promtool's time begins at 0: what is as old as now there has the same age.
        shown = value - now if sample.name.endswith("_timestamp_seconds") else value
        series.append({"series": _selector(labels), "values": f"{shown:.15g}x{hours * 60}"})
    suite = _suite(series, hours * 60, _files(HERE))
    return timeline(_printed(suite, promtool), hours * 60)


def _suite(series: list[dict[str, str]], minutes: int, files: list[str]) -> str:
    """Write a promtool test that prints each beginning and end of an alert."""
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{minute}m", "exp_samples": []}
            for minute in range(minutes + 1)
            for expr in (BEGINS, ENDS)
        ],
    }
    suite = {
        "rule_files": files,
        "evaluation_interval": "1m",
        "group_eval_order": [*ORDER, "info-inhibitor"],
        "tests": [test],
    }
    return json.dumps(suite)


def _files(rules: Path) -> list[str]:
    return [*(str(rules / name) for name in RULE_FILES), str(INHIBITOR)]


def _kept(suite: str, promtool: Path, rules: list[str]) -> str:
    """Return what promtool prints; the same suite of the same rules is judged once."""
    program = promtool.stat()  # of which the time of access changes with each use
    parts = [suite, f"{program.st_size} {program.st_mtime_ns}"]
    parts += [Path(name).read_text() for name in rules]
    kept = cache() / "scenarios" / hashlib.sha256("\0".join(parts).encode()).hexdigest()
    if kept.exists():
        return gzip.decompress(kept.read_bytes()).decode()
    output = _printed(suite, promtool)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(gzip.compress(output.encode()))
    return output


def _printed(suite: str, promtool: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "scenarios.yaml"
        path.write_text(suite)
        done = subprocess.run(
            [promtool, "test", "rules", path], capture_output=True, text=True, check=False
        )
    return done.stdout + done.stderr


def _selector(labels: Labels) -> str:
    name, *rest = labels
    return name[1] + "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in rest) + "}"


def _values(steps: list[tuple[int, int, float]]) -> str:
    """Write steps as promtool reads them; a gap ends with a staleness marker first."""
    words: list[str] = []
    at = 0
    for start, end, value in steps:
        if start > at:
            gap = start - at
            words += ["stale"] if words else ["_"]
            words += [f"_x{gap - 1}"] if gap > 1 else []
        words.append(f"{value:.12g}x{end - start - 1}" if end - start > 1 else f"{value:.12g}")
        at = end
    return " ".join([*words, "stale"])


def timeline(output: str, minutes: int) -> list[Fired]:
    """Read beginnings and ends from the complaints of promtool."""
    assert "unmarshal" not in output, output[:2000]
    edges: dict[tuple[tuple[str, str], ...], list[tuple[int, bool]]] = {}
    for expr, when, got in _findings(output):
        for labels in _samples(got):
            edges.setdefault(labels, []).append((when, expr == BEGINS))
    fired = []
    for labels, moments in edges.items():
        ordered = [*sorted(moments), (minutes + 1, False)]
        for (start, begins), (end, _) in pairwise(ordered):
            if begins:
                fired.append(Fired(dict(labels), start, end))
    return sorted(fired, key=lambda each: (each.start, each.name))


def _findings(output: str) -> Iterable[tuple[str, int, str]]:
    for found in FINDING.finditer(output):
        yield json.loads(found["expr"]), _minutes(found["time"]), found["got"]


def _minutes(text: str) -> int:
    units = {"w": 10_080, "d": 1440, "h": 60, "m": 1, "s": 0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([wdhms])", text))


def _samples(got: str) -> Iterable[tuple[tuple[str, str], ...]]:
    for sample in SAMPLE.finditer(got):
        labels = {key: json.loads(f'"{value}"') for key, value in PAIR.findall(sample[1])}
        del labels["__name__"], labels["alertstate"]
        yield tuple(sorted(labels.items()))
