"""Credentials, rate limit and headers, as the web configuration asks for them."""

import asyncio
import base64
import threading
from contextlib import suppress
from pathlib import Path

import bcrypt
import pytest

from exporter.web import guard, tls
from exporter.web.guard import OPEN_PATHS, FairTurns, Overloaded, Passwords, TokenBucket, client_of
from tests.web.fakes import served

PASSWORD = "correct horse"


def hashed(password: str, prefix: bytes = b"2b") -> str:
    return (
        bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, b"2b"))
        .replace(b"2b", prefix, 1)
        .decode()
    )


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USERS = {"prometheus": hashed(PASSWORD)}


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
async def test_a_right_password_is_accepted(prefix: bytes) -> None:
    users = {"prometheus": hashed(PASSWORD, prefix)}
    assert await Passwords().accept(basic("prometheus", PASSWORD), users)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="none"),
        pytest.param(basic("prometheus", "wrong"), id="wrong password"),
        pytest.param(basic("prometheus", ""), id="no password"),
        pytest.param(basic("prometheus", "a\0b"), id="a zero byte"),
        pytest.param(basic("grafana", PASSWORD), id="unknown user"),
        pytest.param(basic("", PASSWORD), id="no user"),
        pytest.param("Bearer abc", id="another scheme"),
        pytest.param("Basic !!!", id="not base64"),
        pytest.param("Basic " + base64.b64encode(b"nocolon").decode(), id="no colon"),
        pytest.param("Basic " + base64.b64encode(b"\xff:\xff").decode(), id="not UTF-8"),
        pytest.param("Basic \u0663", id="not ASCII"),
    ],
)
async def test_anything_else_is_not(authorization: str) -> None:
    assert not await Passwords().accept(authorization, USERS)


async def test_a_password_longer_than_bcrypt_reads_counts_as_its_beginning() -> None:
    users = {"prometheus": hashed("x" * 72)}
    assert await Passwords().accept(basic("prometheus", "x" * 100), users)
    assert not await Passwords().accept(basic("prometheus", "x" * 71), users)


class Comparisons:
    """Counts the comparisons, and whether any ran on the loop's thread or beside another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes: list[str] = []
        self.at_once = 0
        self.on_the_loop = False
        self._running = 0
        self._real = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", self.compare)

    def compare(self, password: bytes, against: bytes) -> bool:
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        self.on_the_loop |= threading.current_thread() is threading.main_thread()
        try:
            self.hashes.append(against.decode())
            return self._real(password, against)
        finally:
            self._running -= 1


async def test_a_right_password_is_compared_once_and_a_wrong_one_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparisons, passwords = Comparisons(monkeypatch), Passwords()
    for _ in range(3):
        assert await passwords.accept(basic("prometheus", PASSWORD), USERS)
    assert len(comparisons.hashes) == 1
    for _ in range(3):
        assert not await passwords.accept(basic("prometheus", "wrong"), USERS)
    assert len(comparisons.hashes) == 4


async def test_a_changed_hash_forgets_the_old_password(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords()
    assert await passwords.accept(basic("prometheus", PASSWORD), USERS)
    assert not await passwords.accept(basic("prometheus", PASSWORD), {"prometheus": hashed("new")})
    assert not await passwords.accept(basic("prometheus", PASSWORD), {})


async def test_an_unknown_user_costs_what_the_dearest_known_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparisons = Comparisons(monkeypatch)
    dear = bcrypt.hashpw(b"x", bcrypt.gensalt(5)).decode()
    await Passwords().accept(basic("nobody", "x"), {**USERS, "dear": dear})
    assert [each[:7] for each in comparisons.hashes] == ["$2b$05$"]


async def test_no_password_is_right_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: True)
    assert not await Passwords().accept(basic("nobody", "x"), USERS)


async def test_passwords_are_compared_one_at_a_time_and_off_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparisons, passwords = Comparisons(monkeypatch), Passwords()
    await asyncio.gather(*(passwords.accept(basic("a", str(n)), USERS) for n in range(8)))
    assert len(comparisons.hashes) == 8
    assert comparisons.at_once == 1
    assert not comparisons.on_the_loop


async def test_guessers_do_not_pile_up_nor_keep_a_known_password_out() -> None:
    passwords = Passwords()
    assert await passwords.accept(basic("prometheus", PASSWORD), USERS)
    guesses = [passwords.accept(basic("prometheus", str(n)), USERS) for n in range(200)]
    outcomes = asyncio.gather(*guesses, return_exceptions=True)
    await asyncio.sleep(0)
    assert await passwords.accept(basic("prometheus", PASSWORD), USERS)
    refused = [each for each in await outcomes if isinstance(each, Overloaded)]
    assert len(refused) == 200 - 1 - guard.MAX_WAITING, "one is compared, the others wait"


async def until_waiting(passwords: Passwords, requests: int) -> None:
    while passwords._turns.waiting < requests:
        await asyncio.sleep(0)


async def test_after_a_restart_a_scraper_has_its_turn_among_48_guessing_threads() -> None:
    passwords = Passwords()

    async def guess(n: int) -> None:
        while True:
            with suppress(Overloaded):
                await passwords.accept(basic("prometheus", f"{n}"), USERS, "10.0.0.66")
            await asyncio.sleep(0)

    guesses = [asyncio.create_task(guess(n)) for n in range(48)]
    await until_waiting(passwords, guard.MAX_WAITING)
    assert await passwords.accept(basic("prometheus", PASSWORD), USERS, "10.0.0.1")
    for each in guesses:
        each.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_turns_rotate_between_clients() -> None:
    turns, order = FairTurns(), list[str]()

    async def turn(client: str) -> None:
        await turns.take(client)
        order.append(client)
        turns.end()

    await turns.take("first")
    tasks = [asyncio.create_task(turn(client)) for client in "aaaabbc"]
    await asyncio.sleep(0)
    turns.end()
    await asyncio.gather(*tasks)
    assert "".join(order) == "abcabaa"


async def test_a_client_that_leaves_the_line_leaves_no_turn_behind() -> None:
    turns = FairTurns()
    await turns.take("a")
    tasks = [asyncio.create_task(turns.take(client)) for client in "bcd"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    turns.end()  # given to c, who leaves at the same moment
    tasks[1].cancel()
    await asyncio.gather(*tasks[:2], return_exceptions=True)
    await tasks[2]
    turns.end()
    assert turns.waiting == 0
    await asyncio.wait_for(turns.take("e"), 5)


async def test_a_client_that_hung_up_is_known_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparisons, passwords = Comparisons(monkeypatch), Passwords()
    first = asyncio.create_task(passwords.accept(basic("prometheus", PASSWORD), USERS))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not await passwords.accept(basic("prometheus", "wrong"), USERS)  # waits for the first
    assert await passwords.accept(basic("prometheus", PASSWORD), USERS)
    assert len(comparisons.hashes) == 2


async def test_a_stop_refuses_what_waits_and_does_not_wait_for_what_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "STOP_SECONDS", 0.1)
    ended = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: ended.wait(60))
    passwords = Passwords()
    logins = [
        asyncio.create_task(passwords.accept(basic("prometheus", str(n)), USERS)) for n in range(20)
    ]
    await until_waiting(passwords, 19)
    async with asyncio.timeout(10):
        await passwords.stop()
        outcomes = await asyncio.gather(*logins, return_exceptions=True)
    ended.set()
    assert {type(outcome) for outcome in outcomes} == {Overloaded}


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_a_network_of_version_6(remote: str | None, client: str) -> None:
    assert client_of(remote) == client


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REMEMBERED", 2)
    comparisons, passwords = Comparisons(monkeypatch), Passwords()
    users = {name: hashed(name) for name in "abc"}
    for name in "abca":
        assert await passwords.accept(basic(name, name), users)
    assert len(comparisons.hashes) == 4


def write(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


async def test_everything_but_health_needs_credentials(tmp_path: Path) -> None:
    path = write(tmp_path, f"basic_auth_users: {USERS}")
    async with served(config_file=path) as server:
        for each in OPEN_PATHS:
            async with server.client.get(server.url + each) as answer:
                assert answer.status == 200
        for each in ("/metrics", "/", "/nowhere", "/-/reload"):
            async with server.client.post(server.url + each) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        headers = {"Authorization": basic("prometheus", PASSWORD)}
        async with server.client.get(f"{server.url}/metrics", headers=headers) as answer:
            assert answer.status == 200


async def test_too_many_logins_at_once_are_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_WAITING", 0)
    go_on, compare = threading.Event(), bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *of: go_on.wait(60) and compare(*of))
    headers = {"Authorization": basic("prometheus", PASSWORD)}
    async with served(config_file=write(tmp_path, f"basic_auth_users: {USERS}")) as server:
        url = f"{server.url}/metrics"
        answers = [asyncio.create_task(server.client.get(url, headers=headers)) for _ in range(2)]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        go_on.set()
        assert sorted([(await each).status for each in answers]) == [200, 503]


async def test_users_are_read_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.0)
    path = write(tmp_path, "")
    async with served(config_file=path) as server:
        for text, status in (("", 200), (f"basic_auth_users: {USERS}", 401), ("# none\n", 200)):
            write(tmp_path, text)
            async with server.client.get(f"{server.url}/metrics") as answer:
                assert answer.status == status


async def test_the_file_is_looked_at_no_more_than_once_a_second(tmp_path: Path) -> None:
    now = [0.0]
    rules = tls.WebFile(write(tmp_path, ""), lambda: now[0])
    write(tmp_path, f"basic_auth_users: {USERS}")
    assert rules.current().config.basic_auth_users == {}
    now[0] = 0.99
    assert rules.current().config.basic_auth_users == {}
    now[0] = 1.0
    assert rules.current().config.basic_auth_users == USERS


def test_the_bucket_lets_a_burst_in_and_then_one_each_interval() -> None:
    now = [100.0]
    bucket = TokenBucket(lambda: now[0])
    assert [bucket.take(0.5, 3) for _ in range(4)] == [True, True, True, False]
    now[0] += 0.5
    assert [bucket.take(0.5, 3) for _ in range(2)] == [True, False]
    now[0] += 60
    assert [bucket.take(0.5, 3) for _ in range(4)] == [True, True, True, False]


async def test_too_many_requests_are_refused_but_not_those_of_the_kubelet(tmp_path: Path) -> None:
    path = write(tmp_path, "rate_limit: {interval: 1h, burst: 2}")
    async with served(config_file=path) as server:
        statuses = []
        for each in ("/metrics", "/livez", "/metrics", "/metrics", "/readyz"):
            async with server.client.get(server.url + each) as answer:
                statuses.append(answer.status)
                if answer.status == 429:
                    assert answer.headers["Retry-After"] == "3600"
    assert statuses == [200, 200, 200, 429, 200]


async def test_headers_of_the_file_are_on_every_answer(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "http_server_config: {headers: {X-Frame-Options: deny,"
        " Strict-Transport-Security: max-age=1}}",
    )
    async with served(config_file=path) as server:
        for each in ("/metrics", "/livez", "/nowhere"):
            async with server.client.get(server.url + each) as answer:
                assert answer.headers["X-Frame-Options"] == "deny"
                assert answer.headers["Strict-Transport-Security"] == "max-age=1"
                assert "X-XSS-Protection" not in answer.headers
