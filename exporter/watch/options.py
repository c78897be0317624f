"""How to follow: what may be chosen, with the values that suit a Kubernetes cluster."""

from typing import NamedTuple

from exporter.watch.lists import PAGE_OBJECTS, Lists, Pages


class Options(NamedTuple):
    """How to follow.

    ``stream`` asks for long lists as a stream where the server knows how; else ``lists`` reads
    them, where they are of several namespaces. A watch is asked to end after ``watch_seconds`` to
    twice that, by chance, so that not all end together. A server sends a bookmark each minute;
    after ``idle_seconds`` without any sign of life a connection is given up. What has no versions
    to resume from is listed again every ``reconcile_seconds``; what is not served or not
    permitted is looked for every ``look_again_seconds``. That something followed has gone is
    believed when it was seen twice, ``confirm_seconds`` apart.
    """

    lists: Lists = Pages
    stream: bool = True
    page_objects: int = PAGE_OBJECTS
    watch_seconds: int = 300
    idle_seconds: float = 90.0
    reconcile_seconds: float = 300.0
    look_again_seconds: float = 30.0
    confirm_seconds: float = 5.0
