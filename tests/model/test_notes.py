"""The note grammar of Kyverno 1.9 to 1.19, note by note."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.event import Note, parse_note

CASES = [
    pytest.param(
        "Pod shop/: [need-tag] fail (blocked); validation error: no tag",
        ("Pod", "shop", "", "need-tag", "fail", True, "validation error"),
        id="no name, 1.9 to 1.10.1",
    ),
    pytest.param(
        "Namespace : [need-purpose] fail; say why",
        ("Namespace", "", "", "need-purpose", "fail", False, "say why"),
        id="no name of a cluster-scoped resource, 1.9 to 1.10.1",
    ),
    pytest.param(
        "Pod default/privileged-pod: [baseline] fail (blocked); Validation rule 'baseline' failed. "
        'It violates PodSecurity "baseline:latest": (Forbidden reason: privileged)',
        ("Pod", "default", "privileged-pod", "baseline", "fail", True, "Validation rule"),
        id="blocked, the page's first",
    ),
    pytest.param(
        "Namespace bad-ns-1: [require-ns-purpose-label] fail (blocked); validation error: x",
        ("Namespace", "", "bad-ns-1", "require-ns-purpose-label", "fail", True, "validation error"),
        id="cluster-scoped resource",
    ),
    pytest.param(
        "Deployment default/bad: fail (blocked); labels must be env=prod",
        ("Deployment", "default", "bad", "", "fail", True, "labels must"),
        id="CEL policy without rule, 1.16",
    ),
    pytest.param(
        "Deployment default/bad: [] fail; labels",
        ("Deployment", "default", "bad", "", "fail", False, "labels"),
        id="CEL policy with empty brackets, 1.14",
    ),
    pytest.param(
        "Pod a/b: [r] fail", ("Pod", "a", "b", "r", "fail", False, ""), id="no message, 1.9"
    ),
    pytest.param(
        "Pod a/b: [r] error; cannot fetch: x; y",
        ("Pod", "a", "b", "r", "error", False, "cannot fetch: x; y"),
        id="error, message with separators",
    ),
    pytest.param(
        "(combined from similar events): Pod a/b: [r] fail; m",
        ("Pod", "a", "b", "r", "fail", False, "m"),
        id="combined by the recorder of 1.10",
    ),
    pytest.param(
        "Pod a/b: [rule with spaces] fail (blocked); m",
        ("Pod", "a", "b", "rule with spaces", "fail", True, "m"),
        id="rule with spaces",
    ),
    pytest.param(
        "Pod a/b: [odd] rule] fail; m",
        ("Pod", "a", "b", "odd] rule", "fail", False, "m"),
        id="rule with a bracket",
    ),
    pytest.param(
        "ClusterRole system:node: [r] fail; m",
        ("ClusterRole", "", "system:node", "r", "fail", False, "m"),
        id="name with a colon",
    ),
    pytest.param(
        "Pod a/b: [r] warning; m", ("Pod", "a", "b", "r", "warning", False, "m"), id="warning"
    ),
    pytest.param("Pod a/b: [r] pass", ("Pod", "a", "b", "r", "pass", False, ""), id="pass"),
    pytest.param("Pod a/b: [r] skip; m", ("Pod", "a", "b", "r", "skip", False, "m"), id="skip"),
    pytest.param("Pod a/b: ", ("Pod", "a", "b", "", "", False, ""), id="empty status, issue 17174"),
    pytest.param(
        "Pod a/b: [r] fail; line one\nline two",
        ("Pod", "a", "b", "r", "fail", False, "line one\nline two"),
        id="newline in the message",
    ),
    pytest.param(
        "ConfigMap ns/n: fail; mutation is not applied",
        ("ConfigMap", "ns", "n", "", "fail", False, "mutation"),
        id="mutating policy",
    ),
    pytest.param(
        "Deployment ns/n: [check-replicas] fail; failed expression: object.spec.replicas <= 5",
        ("Deployment", "ns", "n", "check-replicas", "fail", False, "failed expression"),
        id="native ValidatingAdmissionPolicy",
    ),
    pytest.param(
        "Pod default/unsigned: [check-image] fail (blocked); failed to verify image a:b: .x",
        ("Pod", "default", "unsigned", "check-image", "fail", True, "failed to verify"),
        id="verifyImages",
    ),
    pytest.param(
        "Pod a/b: [r] fail; " + "x" * 1003 + "...",
        ("Pod", "a", "b", "r", "fail", False, "xxx"),
        id="truncated at 1024 bytes",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_note(text: str, expected: tuple[str, str, str, str, str, bool, str]) -> None:
    note = parse_note(text)
    assert note is not None
    assert note[:6] == expected[:6]
    assert note.message.startswith(expected[6])


@pytest.mark.parametrize(
    "text",
    [
        "policy podsecurity-subrule-restricted/restricted fail: m",
        "policy check-deployment-labels/ fail: Deployment labels must be env=prod",
        "resource Pod/a/b was skipped from policy rule p/r",
        "resource generated",
        "",
    ],
    ids=["resource note", "resource note of a CEL policy", "exception", "generate", "empty"],
)
def test_other_notes_count_for_nothing(text: str) -> None:
    note = parse_note(text)
    assert note is None or note.status not in ("fail", "error")


@given(st.text(max_size=6000))
def test_any_text_is_read_or_refused(text: str) -> None:
    note = parse_note(text)
    assert note is None or isinstance(note, Note)


def test_a_note_made_to_backtrack_is_read_at_once() -> None:
    note = parse_note("Pod a/b: [" + "] " * 3_000_000)
    assert note is None or note.status not in ("fail", "error")
