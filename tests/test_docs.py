"""The documentation names what there is."""

import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from exporter.settings.file import ConfigFile, read_config
from exporter.settings.flags import SERVE

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("flag", SERVE, ids=lambda flag: flag.name)
def test_every_flag_is_documented(flag: object) -> None:
    assert f"--{flag.name}" in CONFIGURATION  # type: ignore[attr-defined]  # a Flag


def test_every_key_of_the_configuration_is_documented_with_its_default() -> None:
    block = re.search(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert block is not None
    shown = msgspec.yaml.decode(block[1], type=ConfigFile)
    assert shown == ConfigFile()
    keys = set(msgspec.yaml.decode(block[1]))
    assert keys == set(ConfigFile.__struct_fields__)


BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def configurations() -> Iterator[tuple[str, str]]:
    """Give the name of a page and each of its blocks that has nothing but configuration keys."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            text = textwrap.dedent(block[2])
            keys = {*re.findall(r"^([\w-]+):", text, re.MULTILINE)}
            if keys and keys <= {*ConfigFile.__struct_fields__} and "image:" not in text:  # no job
                yield page.name, text


@pytest.mark.parametrize(("page", "text"), [*configurations()])
def test_a_configuration_of_the_docs_is_valid(page: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / page
    file.write_text(text)
    read_config(file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


SECURITY = (ROOT / "docs" / "security.md").read_text()
NAMED_TESTS = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", SECURITY)


def test_the_threats_are_tested() -> None:
    threats = re.findall(r"^- \*\*", SECURITY.partition("## Threats")[2], re.MULTILINE)
    assert len(NAMED_TESTS) >= len(threats) > 20


@pytest.mark.parametrize(("file", "name"), NAMED_TESTS, ids=[name for _, name in NAMED_TESTS])
def test_every_test_that_the_security_page_names_exists(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
NAMED = re.findall(r"`(\w[\w/]*\.py)`\s+`([A-Za-z_][\w.]*)`", ARCHITECTURE)


@pytest.mark.parametrize(("module", "name"), sorted(set(NAMED)))
def test_the_architecture_page_names_what_the_module_has(module: str, name: str) -> None:
    source = (ROOT / "exporter" / module).read_text()
    for part in name.split("."):
        assert re.search(rf"^\s*(async def|def|class) {part}\b|^{part}\b", source, re.MULTILINE), (
            part
        )


def test_the_architecture_page_has_the_layers_that_import_linter_checks() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [set(each.split(" | ")) for each in linter["contracts"][0]["layers"]]
    shown = [set[str]() for _ in layers]
    for number, package in re.findall(r"^\| (\d+) \| `(\w+)/?` \|", ARCHITECTURE, re.MULTILINE):
        shown[int(number) - 1].add(package)
    assert shown == layers
