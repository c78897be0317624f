"""The Dockerfile's own instructions, carried out in a directory instead of by an engine."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
# Directories that the stages make or use; in the sandbox they lie below its root.
PLACES = ("/opt", "/src", "/dist", "/bytecode")
INTERPRETERS = ("/usr/local/bin/python3.13", "/usr/bin/python3.13")


class Instruction(NamedTuple):
    """One instruction of the Dockerfile, its lines joined."""

    word: str
    rest: str


def instructions(text: str) -> Iterator[Instruction]:
    """Yield the instructions in order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield Instruction(word, rest.strip())


def context(names: Sequence[str], ignore: str) -> list[str]:
    """Return the names that .dockerignore leaves: the last pattern that matches decides."""
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]

    def kept(name: str) -> bool:
        keep = True
        for pattern in patterns:
            bare = pattern.removeprefix("!").removeprefix("**/")
            parts = Path(name).parts
            ends = range(1, len(parts) + 1)
            heads = ["/".join(parts[:end]) for end in ends]
            tails = parts if pattern.startswith("**/") else ()
            if any(fnmatch.fnmatch(head, bare) for head in [*heads, *tails]):
                keep = pattern.startswith("!")
        return keep

    return [name for name in names if kept(name)]


class Sandbox:
    """A directory in which the build stage's instructions run; ``python`` stands for 3.13."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python
        self.workdir = root
        names = [str(path.relative_to(ROOT)) for path in tracked()]
        self.sent = context(names, (ROOT / ".dockerignore").read_text(encoding="utf-8"))

    def build(self) -> None:
        """Carry out every instruction of the stage ``build``."""
        steps = list(instructions(DOCKERFILE.read_text(encoding="utf-8")))
        stages = [i for i, step in enumerate(steps) if step.word == "FROM"]
        [build] = [i for i in stages if steps[i].rest.endswith(" AS build")]
        for step in steps[build + 1 : stages[stages.index(build) + 1]]:
            match step.word:
                case "WORKDIR":
                    self.workdir = Path(self.moved(step.rest))
                    self.workdir.mkdir(parents=True)
                case "COPY":
                    self.copy(step.rest.split())
                case "RUN":
                    self.run(re.sub(r"--mount=\S+ ", "", step.rest))
                case "ENV":
                    assert step.rest == "PIP_DISABLE_PIP_VERSION_CHECK=1"
                case other:
                    raise AssertionError(f"{other}: not known here")

    def moved(self, text: str) -> str:
        """Return the text with the image's paths below the sandbox."""
        for interpreter, real in zip(INTERPRETERS, (self.python, self.linked()), strict=True):
            text = text.replace(interpreter, str(real))
        return re.sub(rf"(?<![\w/.-])({'|'.join(PLACES)})\b", rf"{self.root}\1", text)

    def linked(self) -> Path:
        return self.root / "usr" / "bin" / "python3.13"

    def copy(self, words: list[str]) -> None:
        """Copy what the context has of the named files and directories."""
        *sources, target = words
        if sources[0] == "--from=base":
            self.copy_library(Path(self.moved(target)))
            return
        for name in self.sent:
            for source in sources:
                folder = source.rstrip("/")
                if name == folder or name.startswith(f"{folder}/"):
                    inside = name.removeprefix(folder).strip("/") or Path(name).name
                    self.place(ROOT / name, self.workdir / target / inside)

    def copy_library(self, target: Path) -> None:
        """Copy some of the standard library, where the image copies that of another stage."""
        code = "import json; print(json.__path__[0])"
        said = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True)
        for source in Path(said.stdout.strip()).glob("*.py"):
            self.place(source, target / "json" / source.name)

    def place(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def run(self, command: str) -> None:
        """Run the command as the builder does: by a shell, in the working directory."""
        self.linked().parent.mkdir(parents=True, exist_ok=True)
        tools = Path(sys.executable).parent
        done = subprocess.run(
            ["/bin/sh", "-ec", self.moved(command)],
            cwd=self.workdir,
            env={**os.environ, "PATH": f"{tools}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def tracked() -> list[Path]:
    """Return the files of the tree that are, or are about to be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [path for name in listed if (path := ROOT / name).is_file()]
