"""Answers of an API server, read without one."""

import pytest

from tests.kyverno.api import Answer
from tests.kyverno.refusals import Refusal, Verdict, refusal

DENIED = 'admission webhook "{}" denied the request: {}'
BLOCKED = "\n\nresource {} was blocked due to the following policies\n\n{}"

ANSWERS = {
    "rules of two policies": (
        DENIED.format(
            "validate.kyverno.svc-fail",
            BLOCKED.format(
                "Pod/shop/web", "labels:\n  team: 'no: team'\n  owner: x\nhosts:\n  a: b\n"
            ),
        ),
        Refusal(
            "validate",
            (Verdict("labels", "team"), Verdict("labels", "owner"), Verdict("hosts", "a")),
            "web",
        ),
    ),
    "a cluster-wide resource": (
        DENIED.format(
            "validate.kyverno.svc-fail", BLOCKED.format("Namespace//x", "names:\n  a: b\n")
        ),
        Refusal("validate", (Verdict("names", "a"),), "x"),
    ),
    "an image of a Pod that has no name yet": (
        DENIED.format("mutate.kyverno.svc-fail", BLOCKED.format("Pod/shop/", "keys:\n  a: b\n")),
        Refusal("verify-images", (Verdict("keys", "a"),)),
    ),
    "two policies in CEL": (
        DENIED.format(
            "vpol.validate.kyverno.svc-fail",
            "Policy a failed: why; not; Policy b error: no such key",
        ),
        Refusal("cel", (Verdict("a", ""), Verdict("b", ""))),
    ),
    "an error of a mutate rule": (
        DENIED.format("mutate.kyverno.svc-fail", "mutation policy a error: no such thing"),
        Refusal("mutate", ()),
    ),
    "the API server's own policy": (
        "services \"a\" is forbidden: ValidatingAdmissionPolicy 'ports' with binding 'all' denied",
        Refusal("native", (Verdict("ports", ""),)),
    ),
    "nobody there": (
        'Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": refused',
        Refusal("unreachable", ()),
    ),
}


@pytest.mark.parametrize(("message", "found"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_names_who_refused(message: str, found: Refusal) -> None:
    assert refusal(Answer(400, {"message": message})) == found


def test_an_answer_that_no_policy_gave_is_an_error() -> None:
    with pytest.raises(AssertionError, match="409 already there"):
        refusal(Answer(409, {"message": "already there"}))
