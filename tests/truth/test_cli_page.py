"""docs/cli.md has the help of every command; UPDATE_GOLDENS=1 writes it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.cli import FLAGS, HELP, main
from exporter.settings.flags import SNAPSHOT_SWITCHES, Flag

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """\
# Command line

Generated from the program: `UPDATE_GOLDENS=1 pytest tests/truth` writes this page. The default
command is `serve`. A flag overrides its environment variable, which overrides the
[configuration file](configuration.md). If a flag may repeat, its variable contains a list separated
by commas. [configuration.md](configuration.md) lists the exit statuses.
"""


def lines() -> Iterator[str]:
    yield HEAD
    for command, flags in FLAGS.items():
        yield f"## {command}\n"
        yield f"{HELP[command][0].upper()}{HELP[command][1:]}.\n"
        if flags:
            yield "| flag | default | variable | |"
            yield "|---|---|---|---|"
            yield from map(row, flags)
            if command == "snapshot":
                yield from (switch(*each) for each in SNAPSHOT_SWITCHES)
            yield ""


def row(flag: Flag) -> str:
    name = f"`-{flag.short}`, " if flag.short else ""
    name += f"`--{flag.name} {flag.value}`" + (" (may repeat)" if flag.repeats else "")
    default = f"`{flag.default}`" if flag.default else ""
    return f"| {name} | {default} | `{flag.variable}` | {flag.help.replace('|', chr(92) + '|')} |"


def switch(name: str, short: str, text: str) -> str:
    names = f"`-{short}`, `--{name}`" if short else f"`--{name}`"
    return f"| {names} |  |  | {text} |"


def test_the_page_is_the_help() -> None:
    page = "\n".join(lines())
    if os.environ.get("UPDATE_GOLDENS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


@pytest.mark.parametrize("command", FLAGS)
def test_every_flag_is_in_the_help_of_its_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for flag in FLAGS[command]:
        assert f"--{flag.name} {flag.value}" in said
        assert f"[${flag.variable}]" in said


MISTYPED = {
    "a flag": (["serve", "--namespac=a"], "unknown argument --namespac, did you mean --namespace?"),
    "a flag of the default command": (["--log.levle=info"], "did you mean --log.level?"),
    "a switch": (["snapshot", "--allow-emtpy"], "did you mean --allow-empty?"),
    "a command": (["snapshto"], "unknown command 'snapshto', did you mean snapshot?"),
}


@pytest.mark.parametrize(("arguments", "said"), MISTYPED.values(), ids=MISTYPED.keys())
def test_a_typing_error_is_answered_with_what_was_meant(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
