"""What Alertmanager tells whom: a webhook for each receiver of the example's routes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.tools import eventually

ROOT = Path(__file__).parents[2]
_INTEGRATIONS = ("webhook_configs", "slack_configs")


class Told(msgspec.Struct, frozen=True, rename="camel"):
    """An alert of a notification."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime


class Note(msgspec.Struct, frozen=True):
    """A notification."""

    receiver: str
    status: str
    alerts: list[Told]


class Inbox:
    """Every notification, in the order of arrival; ``url`` has no trailing slash."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.notes: list[Note] = []

    def told(self, status: str, receiver: str = "", **labels: str) -> list[Told]:
        """Give the alerts with these labels that a receiver, or anybody, was told of."""
        return [
            alert
            for note in list(self.notes)
            for alert in note.alerts
            if receiver in ("", note.receiver)
            and alert.status == status
            and labels.items() <= alert.labels.items()
        ]

    def hears(self, status: str, receiver: str, **labels: str) -> Told:
        """Wait until a receiver is told of an alert."""
        what = f"{receiver} hears that {labels} is {status}"
        return eventually(lambda: self.told(status, receiver, **labels), what=what)[0]

    def configuration(self) -> str:
        """Give the example's routes, inhibitions and receivers, fast, and with all told here."""
        config = yaml.safe_load((ROOT / "alerts/alertmanager.example.yml").read_text())
        del config["templates"]
        _hurry(config["route"])
        for receiver in config["receivers"]:
            for kind in _INTEGRATIONS:
                receiver.pop(kind, None)
            receiver["webhook_configs"] = [{"url": self.url, "send_resolved": True}]
        return yaml.safe_dump(config)


def _hurry(route: dict[str, Any]) -> None:
    """Group for no time, at every hour; what is told is not repeated within a test."""
    route |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    route.pop("active_time_intervals", None)
    for child in route.get("routes", ()):
        _hurry(child)


@contextmanager
def inbox() -> Iterator[Inbox]:
    """Listen for notifications."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.notes.append(msgspec.json.decode(body, type=Note))
            self.send_response(200)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        here = Inbox(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="inbox")
        thread.start()
        yield here
        server.shutdown()
        thread.join()
