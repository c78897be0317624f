"""What a shard lists: reports of its own namespaces only, where the server can tell them apart."""

from collections.abc import Callable, Sequence

from exporter.model.changes import Scope
from exporter.model.resource import REPORT_RESOURCES
from exporter.model.wire import Page
from exporter.watch.lists import ByNamespace, Lists, Pages, Reader, Reading
from exporter.watch.options import Options


def options_of(scope: Scope, shards: int, mine: Callable[[str], bool]) -> Options:
    """Choose how to follow a scope in one of *shards* processes that takes the namespaces *mine*.

    Watches bring the changes of every namespace all the same: there are few, and to watch each
    namespace alone would take as many connections as there are namespaces.
    """
    if shards == 1 or scope.resource not in REPORT_RESOURCES:
        # The Event of a cluster-wide policy's violation lies in the namespace `default`.
        return Options()
    return Options(lists=own_namespaces(mine), stream=False)


def own_namespaces(mine: Callable[[str], bool]) -> Lists:
    """List long lists by namespace, those that are *mine*."""

    def lists(reader: Reader, namespace: str, first: Page) -> Reading:
        async def chosen() -> Sequence[str]:
            return [each for each in await reader.namespaces() if mine(each)]

        if not first.cont:
            return Pages(reader, namespace, first)
        return ByNamespace(reader._replace(namespaces=chosen), namespace, first)

    return lists
