"""A headless Chromium, driven over the WebDriver protocol."""

import base64
import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.tools import Process, eventually, free_port, own_directory, tool

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


class _Reply(msgspec.Struct):
    value: object


class Browser:
    """One window. Scripts run in the page; what they return comes back as JSON does."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> object:
        """Run the body of a function in the page, and return its result."""
        body = {"script": script, "args": list(arguments)}
        return self._call("POST", "/execute/sync", body)

    def wait(self, script: str, *arguments: object, within: float = 10.0) -> object:
        """Wait until a script returns something true."""
        return eventually(lambda: self.run(script, *arguments), within=within, what=script)

    def text(self, selector: str) -> str:
        """Give the visible text of the first element that matches."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def console(self) -> list[str]:
        """Give what the page has complained of since the last call, violations included."""
        entries = msgspec.convert(
            self._call("POST", "/se/log", {"type": "browser"}), list[dict[str, object]]
        )
        return [str(each["message"]) for each in entries]

    def view(self, width: int, height: int, *, dark: bool = False) -> None:
        """Look at pages through a screen of this size and colour scheme."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def screenshot(self, path: Path) -> None:
        """Write what is in the window as PNG."""
        path.write_bytes(base64.b64decode(str(self._call("GET", "/screenshot"))))

    def pdf(self) -> bytes:
        """Print the page on paper of the size that it asks for."""
        made = self._devtools("Page.printToPDF", {"preferCSSPageSize": True})
        return base64.b64decode(msgspec.convert(made, dict[str, str])["data"])

    def _devtools(self, command: str, parameters: Mapping[str, object]) -> object:
        body = {"cmd": command, "params": parameters}
        return self._call("POST", "/goog/cdp/execute", body)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        return _request(method, self._session + path, body)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser with a profile of its own; both are gone afterwards."""
    driver, chromium = tool("chromedriver"), tool("chromium")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with own_directory() as folder:
        argv: list[str | Path] = [driver, f"--port={port}", "--allowed-ips=127.0.0.1"]
        with Process(argv, cwd=folder, ready=f"{base}/status", env={"HOME": str(folder)}):
            options = {
                "binary": str(chromium),
                "args": [*SWITCHES, f"--user-data-dir={folder / 'profile'}"],
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            body = {"capabilities": {"alwaysMatch": wanted}}
            made = msgspec.convert(_request("POST", f"{base}/session", body), dict[str, object])
            session = f"{base}/session/{made['sessionId']}"
            try:
                yield Browser(session)
            finally:
                _request("DELETE", session)


def _request(method: str, url: str, body: Mapping[str, object] | None = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=_Reply).value
