"""What the API server answers to a request that is refused: which policies and rules refused it."""

import re
from typing import NamedTuple

import yaml

from tests.kyverno.api import Answer

WEBHOOK = re.compile(
    r'admission webhook "(?P<webhook>[^"]+)" denied the request: ?(?P<why>.*)', re.DOTALL
)
CEL_WEBHOOKS = ("vpol.", "nvpol.")
CEL_IMAGE_WEBHOOKS = ("ivpol.", "nivpol.")
BLOCKED = re.compile(
    r"\s*resource (?P<kind>[^/\s]+)/(?P<namespace>[^/\s]*)/(?P<name>\S*) was blocked"
    r" due to the following policies\s*(?P<policies>.*)",
    re.DOTALL,
)
CEL = re.compile(r"Policy (?P<policy>\S+) (?:failed|error): ")
NATIVE = re.compile(r"(?:ValidatingAdmissionPolicy) '(?P<policy>[^']+)' with binding")


class Verdict(NamedTuple):
    """One rule of one policy that refused a request; ``rule`` is empty for policies in CEL."""

    policy: str
    rule: str


class Refusal(NamedTuple):
    """Who refused a request, and, where the answer says so, the name that it was given."""

    by: str
    """validate, verify-images, mutate, cel, cel-images, native or unreachable."""
    verdicts: tuple[Verdict, ...]
    name: str = ""


def refusal(answer: Answer) -> Refusal:
    """Read who refused a request; AssertionError for what is none of Kyverno's answers."""
    message = answer.message
    native = NATIVE.search(message)
    if native:
        return Refusal("native", (Verdict(native["policy"], ""),))
    if "failed calling webhook" in message:
        return Refusal("unreachable", ())
    denied = WEBHOOK.search(message)
    assert denied, f"{answer.status} {message}"
    webhook, why = denied["webhook"], denied["why"]
    if webhook.startswith(CEL_WEBHOOKS):
        return Refusal("cel", _of_cel(why))
    if webhook.startswith(CEL_IMAGE_WEBHOOKS):
        return Refusal("cel-images", _of_cel(why))
    blocked = BLOCKED.match(why)
    if blocked is None:
        return Refusal("mutate", ())
    by = "verify-images" if webhook.startswith("mutate.") else "validate"
    return Refusal(by, _of_rules(blocked["policies"]), blocked["name"])


def _of_cel(why: str) -> tuple[Verdict, ...]:
    found = tuple(Verdict(match["policy"], "") for match in CEL.finditer(why))
    assert found, why
    return found


def _of_rules(policies: str) -> tuple[Verdict, ...]:
    listed = yaml.safe_load(policies)
    return tuple(Verdict(policy, rule) for policy, rules in listed.items() for rule in rules)
