"""The image's steps give a program that runs with nothing to write on, as nobody."""

import marshal
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from exporter import __version__
from tests.image.stages import DOCKERFILE, ROOT, Sandbox, context, instructions, tracked
from tests.tools import answers, eventually, fetch, free_port

USER = 65532
UNCHECKED_HASH = 0b01
"""The flags of a .pyc file that is used without a look at its source (PEP 552)."""


class Image(NamedTuple):
    """What the build stage made, below ``root``."""

    root: Path
    entrypoint: Path


def interpreter() -> Path:
    """Return a Python that any user may run."""
    names = (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3")
    for path in (Path(name).resolve() for name in names):
        open_to_all = all(folder.stat().st_mode & 0o005 == 0o005 for folder in path.parents)
        if path.exists() and open_to_all and version(path) >= (3, 11):
            return path
    pytest.skip("no Python >= 3.11 that every user may run: apt-get install python3")


def version(python: Path) -> tuple[int, int]:
    code = "import sys; print(*sys.version_info[:2])"
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    major, minor = map(int, said.stdout.split())
    return major, minor


def bytecode(source: Path) -> Path:
    """Find the bytecode of a source, of whichever Python stands in for the image's."""
    [found] = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
    return found


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # Not pytest's own temporary directory: that one is closed to other users.
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o755)
        Sandbox(root, interpreter()).build()
        yield Image(root, root / "opt/exporter/bin/policy-report-exporter")


def as_nobody(image: Image, log: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start the entrypoint as the image does: no HOME, a closed working directory, one user."""
    privileged = os.geteuid() == 0
    scratch = image.root / "tmp"
    scratch.mkdir(exist_ok=True)
    if privileged:
        os.chown(scratch, USER, USER)
    with log.open("wb") as file:
        return subprocess.Popen(
            [str(image.entrypoint), *arguments],
            cwd="/proc",
            env={"PATH": "/usr/bin", "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
            user=USER if privileged else None,
            group=USER if privileged else None,
            extra_groups=[] if privileged else None,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def exposed(port: int) -> str:
    """Return the metrics once the sample cluster has seen a violation, until then nothing."""
    text = fetch(f"http://127.0.0.1:{port}/metrics").decode()
    return text if "\npolicyviolation_events_total{" in text else ""


@pytest.mark.slow
@pytest.mark.tier("simulator")
def test_the_demo_is_served_as_nobody_from_files_that_cannot_be_written(
    image: Image, tmp_path: Path
) -> None:
    port = free_port()
    log = tmp_path / "log"
    child = as_nobody(
        image, log, "demo", f"--web.listen-address=127.0.0.1:{port}", "--demo.speed=20"
    )
    try:
        ready = f"http://127.0.0.1:{port}/-/ready"
        eventually(lambda: child.poll() is not None or answers(ready), within=60, what="ready")
        assert child.poll() is None, log.read_text()
        text = eventually(lambda: exposed(port), within=60, what="a violation was counted")
    finally:
        child.send_signal(signal.SIGTERM)
        status = child.wait(30)
    assert "\npolicyreport_results{" in text
    assert status in {0, 128 + signal.SIGTERM}, log.read_text()


@pytest.mark.slow
@pytest.mark.tier("simulator")
def test_the_program_is_whole_without_the_tree_and_without_tests(
    image: Image, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert as_nobody(image, log, "--version").wait(60) == 0, log.read_text()
    assert __version__ in log.read_text()
    [site] = image.root.glob("opt/exporter/lib/python3*/site-packages")
    assert not (site / "tests").exists()
    assert not (site / "pip").exists()
    assert (site / "exporter" / "web").is_dir()


def test_the_context_is_the_package_the_locks_and_what_metadata_names() -> None:
    names = [str(path.relative_to(ROOT)) for path in tracked()]
    sent = context(names, (ROOT / ".dockerignore").read_text(encoding="utf-8"))
    tops = {Path(name).parts[0] for name in sent}
    assert tops <= {"exporter", "requirements", "pyproject.toml", "README.md", "LICENSE"}
    assert "requirements/dev.txt" not in sent
    assert "exporter/cli.py" in sent


def test_an_ignored_name_stays_ignored_inside_what_is_allowed() -> None:
    names = ["a/b.py", "a/__pycache__/b.pyc", "c.txt"]
    assert context(names, "*\n!a\n**/__pycache__\n") == ["a/b.py"]


def test_the_image_runs_a_numbered_user_and_needs_no_shell() -> None:
    steps = {step.word: step.rest for step in instructions(DOCKERFILE.read_text("utf-8"))}
    assert steps["USER"] == f"{USER}:{USER}"
    assert steps["ENTRYPOINT"] == '["/opt/exporter/bin/policy-report-exporter"]'
    assert steps["EXPOSE"] == "10480"


def test_nothing_runs_in_the_final_stage() -> None:
    steps = list(instructions(DOCKERFILE.read_text("utf-8")))
    [runtime] = [i for i, step in enumerate(steps) if step.rest.endswith(" AS runtime")]
    final = steps[runtime:]
    assert not [step for step in final if step.word == "RUN"]


def test_every_base_is_named_where_the_linter_and_renovate_see_it() -> None:
    bases = [s.rest for s in instructions(DOCKERFILE.read_text("utf-8")) if s.word == "FROM"]
    assert len(bases) == 3
    assert bases[0].split()[0] == bases[2].split()[0], "its bytecode is made of the same library"
    assert not [base for base in bases if "$" in base or ":" not in base]


def test_everything_that_runs_has_bytecode_that_is_valid_without_times(image: Image) -> None:
    """A registry may change the times of files; nothing could be compiled again at run time."""
    library = image.root / "opt/exporter/lib"
    sources = [path for path in library.rglob("*.py") if "-" not in path.stem]
    assert len(sources) > 1_000
    flags = {path: int.from_bytes(bytecode(path).read_bytes()[4:8], "little") for path in sources}
    assert {path: flag for path, flag in flags.items() if flag != UNCHECKED_HASH} == {}


def test_the_standard_library_has_bytecode_and_nothing_else_is_copied(image: Image) -> None:
    copied = [path for path in (image.root / "bytecode").rglob("*") if path.is_file()]
    assert {path.suffix for path in copied} == {".pyc"}
    [decoder] = [path for path in copied if path.name.startswith("decoder.")]
    code = marshal.loads(decoder.read_bytes()[16:])
    assert code.co_filename == "/usr/lib/python3.13/json/decoder.py"
