"""The comparison with other programs runs, with this exporter as its own peer."""

import sys

import pytest

from bench import peers


@pytest.mark.tier("cluster")
@pytest.mark.slow
def test_a_peer_is_measured_beside_the_exporter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--reports=40", "--rounds=1", f"--peer=again={peers.OURS}"]
    monkeypatch.setattr(sys, "argv", ["bench.peers", *asked])
    peers.main()
    title, _, head, _, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("40 reports; one list costs the API server ")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]
    assert [row[0] for row in cells] == ["", "this exporter", "again"]
    of_series = cells[0].index("series")
    assert len({row[of_series] for row in cells[1:]}) == 1
    assert all(float(cell.replace(",", "")) >= 0 for row in cells[1:] for cell in row[3:])


def test_a_peer_without_a_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.peers", "--peer=other"])
    with pytest.raises(SystemExit, match="--peer other: expected NAME=COMMAND"):
        peers.main()
