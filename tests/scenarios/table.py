"""``python -m tests.scenarios.table``: what a person gets in each row, into docs/alerting.md."""

from collections.abc import Iterator
from typing import NamedTuple

from alerts.build import HERE as ALERTS
from tests.scenarios.judge import Fired
from tests.scenarios.lived import Lived, about, town
from tests.scenarios.rows import AT, FLEET, HOUR, SMALL

PAGE = ALERTS.parent / "docs" / "alerting.md"
BEGIN = "<!-- scenarios: made by `python -m tests.scenarios.table` -->\n"
END = "<!-- end of scenarios -->\n"
HEAD = (
    "| situation | receiver | alert | after | messages in 8 h | until |",
    "|---|---|---|---|---|---|",
)


class Row(NamedTuple):
    """One row: its words, and which alerts are about it."""

    title: str
    labels: dict[str, str | set[str]]
    cluster: str = ""


ROWS = (
    Row("a new critical violation, fixed after 2 h", {"policy": "new"}),
    Row("a critical violation that stays open", {"policy": "stands"}),
    Row("a new violation of a medium policy", {"policy": "medium"}),
    Row("a new violation of a policy without severity", {"policy": "unrated"}),
    Row("a failure that flaps, 20 minutes on and 40 off", {"policy": "flaps"}),
    Row(f"a new policy fails in {len(FLEET)} namespaces", {"policy": "fleet"}),
    Row(f"a changed policy fails in {len(SMALL)} namespaces", {"policy": "small"}),
    Row(
        "a namespace with an old failure changes its team label, another gets one",
        {"policy": "relabelled"},
    ),
    Row("a person is blocked once in kube-system", {"policy": "once-kube-system"}),
    Row("a person is blocked once elsewhere", {"policy": "once-person"}),
    Row("a ReplicaSet is refused repeatedly", {"namespace": "retries"}),
    Row("the same in a system namespace", {"namespace": "cattle-system"}),
    Row("a Deployment of GitOps is refused every 3 minutes for 3 h", {"namespace": "gitops"}),
    Row("hourly roll-outs, nightly jobs and CI Pods that fail", {"policy": {"debt", "builds"}}),
    Row("a policy is renamed", {"policy": {"old-name", "new-name"}}),
    Row("the API server is upgraded for 10 minutes", {}, "upgrade"),
    Row("a watch stays broken", {}, "stuck"),
    Row("three shards are scaled down to one on purpose", {}, "scaled"),
    Row("a shard is lost", {}, "lost"),
    Row("the Pod is replaced, without state", {}, "replaced"),
    Row("the exporter crashes repeatedly", {}, "crashes"),
    Row("Kyverno is down", {}, "kyverno"),
    Row("a policy is weakened while the exporter is down for 3 h", {}, "weakened"),
    Row("the exporter is down", {}, "down"),
    Row("40 requests are blocked within 10 minutes", {"policy": "burst"}, "burst"),
)


def cells(row: Row) -> Iterator[str]:
    """Yield the lines of one row: one for each alert and receiver, or that no receiver gets any."""
    lived = about("plain", row.cluster) if row.cluster else town("plain")
    new = [each for each in lived.alerts(**row.labels) if each.start >= AT]
    names = sorted({each.name for each in new}, key=[each.name for each in new].index)
    title = row.title
    for name in names:
        fired = [each for each in new if each.name == name]
        for receiver, minutes in heard(lived, fired).items():
            severities = " or ".join(sorted({each.labels["severity"] for each in fired}))
            until = "still fires" if max(e.end for e in fired) > lived.until else None
            until = until or span(max(each.end for each in fired) - AT)
            after = span(min(minutes) - AT)
            values = (title, receiver, f"{name} ({severities})", after, len(minutes), until)
            yield "| " + " | ".join(map(str, values)) + " |"
            title = ""
    if title:
        yield f"| {title} | none | | | 0 | |"


def heard(lived: Lived, fired: list[Fired]) -> dict[str, list[int]]:
    """Return when each receiver was told that one of these alerts fires."""
    found: dict[str, list[int]] = {}
    for message in lived.told():
        if message.minute <= AT + 8 * HOUR and any(each in fired for each in message.firing):
            found.setdefault(message.receiver, []).append(message.minute)
    return found


def span(minutes: int) -> str:
    hours, rest = divmod(minutes, HOUR)
    return " ".join(
        part for part in (f"{hours} h" * bool(hours), f"{rest} min" * bool(rest)) if part
    )


def table() -> str:
    return "\n".join([*HEAD, *(line for row in ROWS for line in cells(row))]) + "\n"


def main() -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n" + table() + "\n" + END + after)


if __name__ == "__main__":
    main()
