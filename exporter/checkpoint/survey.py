"""Look at all Events once, before their watch goes on from where a checkpoint left it."""

import logging

from exporter.errors import ApiError, Malformed
from exporter.model.changes import Applied, Init, InitDone, Scope
from exporter.model.metadata import version_number
from exporter.state.cluster import ClusterState
from exporter.watch.lists import all_pages
from exporter.watch.ports import Source

log = logging.getLogger(__name__)


async def survey(source: Source, scope: Scope, state: ClusterState) -> str:
    """List a scope into the state and return the version of the list; empty when it failed.

    The list brings what lives, and counts what is newer than the checkpoint. The watch that then
    goes on from the checkpoint also brings what came and went meanwhile; what both bring counts
    once. The watermark is then how far that watch must come to cover what is counted.
    """
    try:
        resource = await source.resolve(scope.resource)
        if resource is None:
            return ""
        state.apply(Init(scope))
        version, newest = "", 0
        async for page in all_pages(source, resource, scope.namespace):
            for item in page.objects:
                state.apply(Applied(scope, item))
                newest = max(newest, version_number(item.version))
            version = page.version
        state.apply(InitDone(scope))
        state.violation_events.watermarks[scope] = newest
    except (ApiError, Malformed) as error:
        log.info("%s: to be listed again: %s", scope.resource.name, error)
        return ""
    return version
