"""Find phrases that an English-speaking operator would have to read twice, in texts for users."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# Texts for users, by glob. Lists of names and code inside them are left out.
PAGES = (
    "*.md",
    "docs/**/*.md",
    "alerts/*.md",
    "grafana/*.md",
    "grafana/dashboards/*.yaml",
    "helm/*/README.md",
    "helm/*/values.yaml",
    "helm/*/values.schema.json",
    "helm/*/templates/NOTES.txt",
    "helm/*/templates/_validate.tpl",
    "alerts/rules/*.yaml",
    "deploy/**/*.yaml",
    ".github/**/*.md",
    "exporter/**/*.py",
    "exporter/**/*.html",
)

# What to write instead, by the phrase as a regular expression: phrases that are wrong in this
# project wherever they appear.
PHRASES = {
    r"anew": "again, or: restart, re-read, recreate",
    r"(?:told|telling) apart": "distinguished, counted separately",
    r"(?:is|are|be|was|were|been) told": "sent, notified, reported",
    r"tells? (?:Alertmanager|Prometheus|Grafana)": "sends, notifies",
    r"(?:what|which|that) stands?": "current, open, active",
    r"stands? (?:now|there|in|above|beside)": "is, exists, is active",
    r"lets? through": "allows, allowed",
    r"lets? (?:nothing|nobody) (?:in|out)": "does not allow traffic",
    r"(?:no|some|any|every)body": "name who: Prometheus, a user, another shard",
    r"whoever|whomever|of whom": "name who",
    r"so many": "name the number, or: as many",
    r"come(?:s)? and go(?:es)?": "is created and deleted",
    r"vanish(?:es|ed|ing)?": "is deleted, disappears",
    r"may not": "must not, cannot",
    r"beg[iau]n(?:s)? again": "restarts",
    r"for ever": "forever",
    r"out of sight": "not visible, not seen",
    r"mend(?:s|ed)?": "fix, repair",
    r"besides? those": "in addition to those",
    r"by which|to which|with which|for which": "split the sentence, or name the thing",
    r"that bad": "at or above this level",
    r"(?:log|error|message|file|metric|answer|it) says (?:so|once|it)": "logs, reports",
    r"goes? on": "continues",
    r"be rid of": "remove",
    r"living (?:sample )?cluster": "sample cluster that changes",
    r"looked at": "read, checked",
    r"says?|said": "shows, contains, logs, reports",
    r"stands?|stood": "is, exists, remains",
    r"since when": "the start time, for how long",
    r"besides?": "next to, in addition to",
    r"beyond (?:it|them|this|that|which)": "above the limit",
    r"beg[aiu]ns? to": "starts to",
    r"brings?|brought": "returns, contains, installs",
    r"(?:no|the|an|its|without an) answer": "response",
    r"(?:hung|hangs?) up": "disconnected",
    r"belongs? together|exclude each other": "set both or neither, set only one",
    r"let in": "allowed",
    r"knows? nothing": "does not compare, does not read",
    r"(?:for|of) which": "split the sentence, or name the thing",
    r"(?:label|labels|message|messages) of theirs": "their labels",
}
CODE = re.compile(r"```.*?```|<a [^>]*>|`[^`\n]*`|\]\([^)]*\)|\$\{[^}]*\}|\{\{.*?\}\}", re.DOTALL)
# In YAML of rules only annotations are for users.
ANNOTATION = re.compile(r"^\s+(?:summary|description): .*$", re.MULTILINE)


class Finding(NamedTuple):
    """A phrase at a line of a file, and what to write instead."""

    path: Path
    line: int
    phrase: str
    instead: str


def literals(source: str) -> str:
    """Return the strings of a Python module at their lines, without docstrings."""
    tree = ast.parse(source)
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    lines = [""] * (source.count("\n") + 2)
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in documents and " " in text:
                lines[node.lineno - 1] += " ".join(text.split()) + " | "
    return "\n".join(lines)


def blank(found: "re.Match[str]") -> str:
    """Return as many lines as the match has, without its text."""
    return "\n" * found[0].count("\n")


def prose(path: Path, text: str) -> str:
    """Return the sentences of a file, each on its line."""
    if path.parent.name == "rules":
        kept = {text.count("\n", 0, m.start()): m[0] for m in ANNOTATION.finditer(text)}
        text = "\n".join(kept.get(number, "") for number in range(text.count("\n") + 1))
    if path.suffix == ".py":
        text = literals(text)
    return CODE.sub(blank, text)


def findings(path: Path, text: str) -> Iterator[Finding]:
    """Yield each phrase of the list in the file's sentences."""
    sentences = prose(path, text)
    for pattern, instead in PHRASES.items():
        for found in re.finditer(rf"\b(?:{pattern})\b", sentences, re.IGNORECASE):
            line = sentences.count("\n", 0, found.start()) + 1
            yield Finding(path, line, found[0], instead)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the files that hold texts for users."""
    return sorted({path for glob in PAGES for path in root.glob(glob) if path.is_file()})


def main() -> int:
    """Print each finding; 1 if there is any."""
    faults = 0
    for path in pages():
        for finding in sorted(findings(path, path.read_text(encoding="utf-8"))):
            name = path.relative_to(ROOT)
            print(f"{name}:{finding.line}: {finding.phrase!r}: write {finding.instead}")
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
