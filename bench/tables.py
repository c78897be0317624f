"""Figures as text at a terminal, and as the tables of docs/performance.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.bars import Found, judged
from bench.measure import Figures

BEGIN = "<!-- figures -->"
END = "<!-- end of figures -->"
_WIDTH = 100


def text(benchmark: str, rows: Mapping[str, Figures]) -> str:
    """Lay out one benchmark's figures for a terminal."""
    lines = [f"\n{benchmark}"]
    for name, figures in rows.items():
        line = f"  {name:22}"
        for cell in (f"  {key} {_number(value)}" for key, value in figures.items()):
            if len(line) + len(cell) > _WIDTH:
                lines.append(line)
                line = " " * 24
            line += cell
        lines.append(line)
    return "\n".join(lines)


def verdicts(found: Found) -> str:
    """Lay out the bars for a terminal."""
    lines = [f"\n{'bar':56}{'limit':>9}{'value':>10}{'alone':>8}  verdict"]
    lines += (f"{c[0]:56}{c[1]:>9}{c[2]:>10}{c[3]:>8}  {c[4]}" for c in _cells(found))
    return "\n".join(lines)


def markdown(found: Found, machine: str) -> str:
    """Write everything as Markdown: the machine, the bars, and a table for each benchmark."""
    lines = [
        machine,
        "",
        "| target | limit | value | with a core to itself | |",
        "|---|---|---|---|---|",
    ]
    lines += (f"| {' | '.join(cells)} |" for cells in _cells(found))
    for benchmark, rows in found.items():
        lines += ["", f"### {benchmark.capitalize()}", "", *_table(rows)]
    return "\n".join(lines)


def replace(page: Path, figures: str) -> None:
    """Put the figures into a page, where its last ones stand."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page}: {BEGIN} and {END} are not there")
    page.write_text(f"{before}{begin}\n\n{figures}\n\n{end}{after}", encoding="utf-8")


def _cells(found: Found) -> Iterator[tuple[str, str, str, str, str]]:
    for bar, limit, value, alone, met in judged(found):
        sign = "≥" if bar.at_least else "≤"
        shown = ["-" if each is None else _number(each) for each in (value, alone)]
        yield bar.what, f"{sign} {_number(limit)}", shown[0], shown[1], met


def _table(rows: Mapping[str, Figures]) -> Iterator[str]:
    """Lay rows side by side: figures go down, what was measured goes across."""
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    columns = [each for each in rows if each != "ratios"]
    measured = [name for name in names if any(name in rows[each] for each in columns)]
    yield "| " + " | ".join(("", *columns)) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name in measured:
        cells = (_number(rows[c][name]) if name in rows[c] else "-" for c in columns)
        yield "| " + " | ".join((name, *cells)) + " |"
    for name, value in rows.get("ratios", {}).items():
        yield f"| {name} | {_number(value)} |" + " |" * (len(columns) - 1)


def _number(value: float) -> str:
    """Write three digits or all that stand before the point."""
    if value == int(value):
        return f"{int(value):,}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
