"""The list of phrases finds them in sentences, and leaves code alone."""

from pathlib import Path

import pytest

from tools.words import PHRASES, ROOT, findings, pages

PAGE = Path("page.md")
SENTENCES = [
    "As a sidecar it also tells Alertmanager who fails what.",
    "Watches that ended and were begun again, by reason.",
    "Results that stand now in policy reports.",
    "The labels that are told apart by it.",
    "A result that bad fails the build.",
    "Whoever may create reports can raise the numbers.",
    "Counters start anew.",
    "The log says why.",
    "The API server gives no answer.",
    "Since when does it fail?",
    "A policy that began to block.",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_of_the_list_is_found(sentence: str) -> None:
    assert [*findings(PAGE, sentence)]


@pytest.mark.parametrize(
    "sentence",
    [
        "`anew` is a name",
        "```\nit is told anew\n```",
        "[link](anew.md)",
        "PolicyReportsVanished fires.",
        "A renewed certificate is served.",
    ],
)
def test_code_and_names_are_left_alone(sentence: str) -> None:
    assert not [*findings(PAGE, sentence)]


def test_a_finding_names_the_line_and_what_to_write() -> None:
    [finding] = findings(PAGE, "One.\n```\ncode\n```\nIt starts anew.\n")
    assert (finding.line, finding.phrase, finding.instead) == (5, "anew", PHRASES["anew"])


def test_of_rules_only_summaries_and_descriptions_are_read() -> None:
    text = "# told anew\n  - alert: A\n    annotations:\n      summary: 'Nobody scrapes it.'\n"
    assert [f.line for f in findings(Path("alerts/rules/a.yaml"), text)] == [4]


def test_every_page_of_the_documentation_is_read() -> None:
    names = {str(path.relative_to(ROOT)) for path in pages()}
    assert {"README.md", "docs/install.md", "docs/runbooks/PolicyExporterDown.md"} <= names
    assert "helm/policy-report-exporter/templates/NOTES.txt" in names


def test_of_python_the_texts_are_read_and_the_docstrings_are_not() -> None:
    source = '"""Nobody reads this."""\nHELP = "Whoever reads this."\n"""Nobody, again."""\n'
    assert [(f.line, f.phrase) for f in findings(Path("a.py"), source)] == [(2, "Whoever")]
