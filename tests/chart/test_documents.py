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


def commands(document: Path) -> list[str]:
    """Return the Helm commands of the document that install this chart."""
    text = "\n".join(blocks(document, "console")).replace("\\\n", " ")
    found = [re.sub(r" +", " ", line) for line in text.splitlines()]
    verbs = ("helm install policy-report-exporter", "helm upgrade")
    return [line for line in found if line.startswith(verbs)]


def namespaces(text: str) -> set[str]:
    """Return each namespace that a kubectl or helm command for the exporter names."""
    found = set()
    for line in text.replace("\\\n", " ").splitlines():
        if "policy-report-exporter" in line and re.search(r"\b(kubectl|helm)\b", line):
            found |= set(re.findall(r"(?:-n|--namespace)[ =]([\w-]+)", line))
            found |= set(re.findall(r"system:serviceaccount:([\w-]+):policy-report", line))
    return found


PAGES = [ROOT / "README.md", *DOCUMENTS, *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES += [ROOT / "alerts" / "README.md", ROOT / "grafana" / "README.md"]
INSTALLATIONS = [
    (document.name, command)
    for document in (ROOT / "README.md", DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[4])
    for command in commands(document)
]


def test_the_exporter_is_in_one_namespace_in_every_command() -> None:
    pages = {page: namespaces(page.read_text("utf-8")) for page in PAGES if page.exists()}
    assert set().union(*pages.values()) == {"monitoring"}, pages


def test_the_plain_manifests_are_in_the_namespace_of_the_commands() -> None:
    for path in (ROOT / "deploy").glob("**/*.yaml"):
        found = re.findall(r"^ *namespace: (\S+)$", path.read_text("utf-8"), re.MULTILINE)
        assert set(found) <= {"monitoring"}, path


def test_each_story_of_the_readme_has_its_commands() -> None:
    stories = [command for name, command in INSTALLATIONS if "README" in name]
    assert any("oci://" in c and "labels.release=kube-prometheus-stack" in c for c in stories)
    assert any("./helm/policy-report-exporter" in c and "image.tag=" in c for c in stories)
    assert "kubectl apply --server-side --kustomize deploy/base" in (ROOT / "README.md").read_text()


@pytest.mark.tier("chart")
@pytest.mark.parametrize(("name", "command"), INSTALLATIONS)
def test_helm_takes_an_installation_as_it_is_written(name: str, command: str) -> None:
    given = shlex.split(command)
    flags = {"--install", "--reset-then-reuse-values"}
    words = [str(CHART) if "/policy-report-exporter" in w else w for w in given[2:]]
    words = [word for word in words if word not in flags]
    out = call("helm4", "template", *words, "--api-versions=monitoring.coreos.com/v1")
    assert f"app.kubernetes.io/instance: {words[0]}" in out
    assert out.count("namespace: monitoring") > 5
    for setting in re.findall(r"--set (\S+)", command):
        key, _, value = setting.partition("=")
        assert not value or value in out, key


def test_the_image_of_a_checkout_is_the_one_that_was_built_and_loaded() -> None:
    for document in (ROOT / "README.md", DOCUMENTS[0]):
        text = document.read_text(encoding="utf-8")
        [built] = re.findall(r"docker build --tag (\S+)", text)
        assert set(re.findall(r"(?:docker-image|image load) (\S+)", text)) == {built}
        repository, _, tag = built.partition(":")
        values = f"--set image.registry= --set image.repository={repository} --set image.tag={tag}"
        assert values in text


@pytest.mark.tier("chart")
def test_the_chart_of_a_checkout_runs_the_image_that_was_built() -> None:
    [command] = [c for name, c in INSTALLATIONS if name == "install.md" and "image.tag" in c]
    words = [str(CHART) if w.startswith("./helm") else w for w in shlex.split(command)[2:]]
    assert "image: policy-report-exporter:dev\n" in call("helm4", "template", *words)


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
