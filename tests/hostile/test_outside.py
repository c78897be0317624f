"""Guessing clients and broken credential plugins, against the real command in its own process."""

import base64
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import bcrypt
import pytest

from tests.app.commands import Command
from tests.endtoend.town import Town, town
from tests.hostile.tenants import MOST_BYTES, Liveness, peak_bytes
from tests.kube.kubeconfigs import kubeconfig
from tests.tools import eventually, is_alive

pytestmark = pytest.mark.tier("simulator")

API: Final = "client.authentication.k8s.io/v1"
PASSWORD: Final = "correct horse"
SCRAPER: Final = "127.0.0.1"
GUESSER: Final = "127.0.0.66"


@pytest.fixture(scope="module")
def here() -> Iterator[Town]:
    with town() as found:
        yield found


def status(command: Command, password: str, source: str) -> int:
    """Scrape from an address of this machine; the status, or 0 where nothing listens."""
    port = int(command.url.rpartition(":")[2])
    connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    credentials = base64.b64encode(f"prometheus:{password}".encode()).decode()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()
    return answer.status


@contextmanager
def guessing(command: Command, threads: int) -> Iterator[Counter[int]]:
    """Guess passwords in threads; count the answers by status."""
    ended, seen, lock = threading.Event(), Counter[int](), threading.Lock()

    def guess(number: int) -> None:
        while not ended.wait(0.01):
            found = status(command, f"guess-{number}", GUESSER)
            with lock:
                seen[found] += 1

    tasks = [threading.Thread(target=guess, args=(n,), name=f"guess {n}") for n in range(threads)]
    for each in tasks:
        each.start()
    try:
        yield seen
    finally:
        ended.set()
        for each in tasks:
            each.join()


def wait_for_a_guess(seen: Counter[int]) -> None:
    before = seen[401]
    eventually(lambda: seen[401] > before, within=60, what="a refused guess")


def test_the_right_password_goes_on_working_among_48_guessing_threads_and_after_a_restart(
    here: Town, tmp_path: Path
) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{prometheus: {hashed}}}\n")
    config = kubeconfig(tmp_path, here.url, {"token": "t"})
    options = (f"--kubeconfig={config}", "--web.config.file=web.yml")
    with ExitStack() as stack:
        command = stack.enter_context(Command(tmp_path, "serve", *options, ready="/livez"))
        seen = stack.enter_context(guessing(command, 48))
        for life in range(2):
            wait_for_a_guess(seen)
            with Liveness(command) as liveness:
                assert [status(command, PASSWORD, SCRAPER) for _ in range(3)] == [200] * 3
            assert liveness.worst < 0.5
            assert peak_bytes(command) < MOST_BYTES / 2
            if not life:
                assert command.stop() == 128 + signal.SIGTERM
                command.start()
    assert seen.keys() <= {0, 401, 503}, seen


HANGING: Final = "time.sleep(600)"
PRINTING: Final = "while True: sys.stdout.write('x' * 65536)"
PLUGIN: Final = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
if os.fork() == 0:
    time.sleep(600)
"""
"""Notes its process group, and has a child that outlives it."""


@contextmanager
def plugged(here: Town, directory: Path, program: str) -> Iterator[Command]:
    """Run ``serve`` with a credential plugin whose process groups are in the file ``groups``."""
    plugin = {
        "apiVersion": API,
        "command": sys.executable,
        "args": ["-c", PLUGIN + program, str(directory / "groups")],
        "interactiveMode": "Never",
    }
    config = kubeconfig(directory, here.url, {"exec": plugin})
    with Command(directory, "serve", f"--kubeconfig={config}", ready="/livez") as command:
        yield command


def groups(directory: Path) -> list[int]:
    """The process groups of the plugin so far, in their order."""
    file = directory / "groups"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def wait_for_the_end(group: int) -> None:
    eventually(lambda: not is_alive(group), within=60, what=f"the end of process group {group}")


def test_a_plugin_that_prints_for_ever_is_killed_with_its_children(
    here: Town, tmp_path: Path
) -> None:
    with plugged(here, tmp_path, PRINTING) as command, Liveness(command) as liveness:
        group = eventually(lambda: groups(tmp_path), within=60, what="the plugin")[0]
        wait_for_the_end(group)
        complaint = "printed more than 1048576 bytes"
        eventually(lambda: complaint in command.log, within=60, what=complaint)
        assert peak_bytes(command) < MOST_BYTES / 2
    assert liveness.worst < 0.5
    assert "Traceback" not in command.log
    for each in groups(tmp_path):
        wait_for_the_end(each)


def test_a_plugin_that_hangs_ends_with_its_children_when_the_exporter_does(
    here: Town, tmp_path: Path
) -> None:
    with plugged(here, tmp_path, HANGING) as command:
        (group,) = eventually(lambda: groups(tmp_path), within=60, what="the plugin")
        assert is_alive(group)
        assert command.get("/livez") == "ok\n"
        assert command.stop() == 128 + signal.SIGTERM
    wait_for_the_end(group)
