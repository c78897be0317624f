"""What the documents tell an operator to type works: queries, values, files."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml

from exporter.metrics.catalogue import CATALOGUE
from helm.build import CHART, ROOT
from tests.chart.rendering import call

DOCUMENTS = [
    ROOT / "docs" / "install.md",
    ROOT / "docs" / "upgrading.md",
    ROOT / "docs" / "migration.md",
    ROOT / "SECURITY.md",
    CHART / "README.md",
]
LABELS = {family.name: {*family.labels, "cluster"} for family in CATALOGUE}
OURS = re.compile(r"policy(?:report|violation)_\w+")


def blocks(document: Path, language: str) -> Iterator[str]:
    """Yield each code block of the language."""
    text = document.read_text(encoding="utf-8")
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield found[1]


def queries(document: Path) -> list[str]:
    """Return every query of every block; an indented line continues the one above."""
    found: list[str] = []
    for block in blocks(document, "promql"):
        for line in block.splitlines():
            if line.startswith(" "):
                found[-1] += line
            elif not line.startswith("#"):
                found.append(line)
    return found


MIGRATION = queries(DOCUMENTS[2])


@pytest.mark.parametrize("query", MIGRATION)
def test_a_query_of_the_migration_page_parses(query: str) -> None:
    promql_parser.parse(query)


@pytest.mark.parametrize("query", [query for query in MIGRATION if OURS.search(query)])
def test_a_query_of_ours_names_labels_that_its_family_has(query: str) -> None:
    for selector in re.finditer(r"(policy(?:report|violation)_\w+)(?:\{([^}]*)\})?", query):
        named = set(re.findall(r"(\w+)\s*[=!]", selector[2] or ""))
        assert named <= LABELS[selector[1]], selector[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_family_that_a_document_names_is_in_the_catalogue(document: Path) -> None:
    named = set(OURS.findall(document.read_text(encoding="utf-8")))
    named = {name for name in named if not name.startswith("policyreport_exporter_")}
    # A family's prefix, written with a star, stands for all that begin so.
    assert not [name for name in named if not any(f.startswith(name) for f in LABELS)]


def test_each_change_has_a_query_of_ours_and_most_one_of_theirs() -> None:
    assert sum(1 for query in MIGRATION if OURS.search(query)) >= 14
    assert sum(1 for query in MIGRATION if not OURS.search(query)) >= 10


def commands(document: Path) -> list[list[str]]:
    """Return the Helm commands of the document as words, ours in place of the registry's chart."""
    text = "\n".join(blocks(document, "console")).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("helm install")]


@pytest.mark.tier("chart")
@pytest.mark.parametrize("document", [DOCUMENTS[0], DOCUMENTS[4]], ids=lambda path: path.name)
def test_helm_takes_the_installation_as_it_is_written(document: Path) -> None:
    [words] = commands(document)
    words = [str(CHART) if word.startswith("oci://") else word for word in words[2:]]
    out = call("helm4", "template", *words, "--api-versions=monitoring.coreos.com/v1")
    assert "release: kube-prometheus-stack" in out


@pytest.mark.tier("chart")
@pytest.mark.parametrize("values", list(blocks(DOCUMENTS[4], "yaml")))
def test_helm_takes_each_setup_of_the_charts_page(values: str) -> None:
    assert yaml.safe_load(values)
    out = call("helm4", "template", "r", str(CHART), "--values=-", stdin=values)
    assert "kind: Service" in out


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_leads_to_a_file(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), link
