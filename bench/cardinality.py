"""Series and bytes of a scrape under the settings of docs/cardinality.md, as its table has them.

``python -m bench.cardinality`` prints the rows; with a number, only for that many reports.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.product import SCOPE
from bench.reports import NOW, Reports, Shape
from exporter.metrics.exposition import Exposition, render
from exporter.model.changes import Applied, Init, InitDone
from exporter.model.resource import POLICY_REPORTS
from exporter.settings.file import ConfigFile
from exporter.state.cluster import ClusterState
from exporter.wire.codec import codec_for

PAGE: Final = Path(__file__).parents[1] / "docs" / "cardinality.md"
SIZES: Final = (10, 1_000, 100_000)
_BLOCK: Final = re.compile(r"^(\w[\w ,]*):\n\n```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Scrape(NamedTuple):
    """What a scrape has, uncompressed."""

    series: int
    size: int

    def __str__(self) -> str:
        size = self.size
        text = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
        return f"{self.series:,}, {text}"


def settings() -> dict[str, ConfigFile]:
    """Read the settings of the page by name, and the default."""
    found = {
        name.lower(): msgspec.yaml.decode(block, type=ConfigFile)
        for name, block in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    }
    return {**found, "default": ConfigFile()}


def scrape(reports: int, config: ConfigFile) -> Scrape:
    """Expose the families about so many reports."""
    state = ClusterState(config.selection(), lambda: NOW)
    made, codec = Reports(Shape.of(reports)), codec_for(POLICY_REPORTS)
    state.apply(Init(SCOPE))
    for number in range(reports):
        state.apply(Applied(SCOPE, codec.one(made.encode(number))))
    state.apply(InitDone(SCOPE))
    shots = Exposition(state, config.exposure()).take(NOW, lambda kinds: kinds == "reports")
    series = size = 0
    for part in render(shots, openmetrics=False):
        size += len(part)
        series += sum(not line.startswith(b"#") for line in part.splitlines())
    return Scrape(series, size)


def rows(sizes: Sequence[int]) -> Iterator[tuple[str, list[str]]]:
    """Measure each of the settings."""
    for name, config in settings().items():
        yield name, [str(scrape(size, config)) for size in sizes]


def main(arguments: Sequence[str]) -> None:
    """Print the rows of the table."""
    for name, cells in rows([*map(int, arguments)] or SIZES):
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
