"""What to follow: the scopes that a configuration, namespaces and a shard ask for."""

from typing import NamedTuple

from exporter.model.changes import Scope
from exporter.model.resource import EVENTS, NAMESPACES, POLICY_RESOURCES, REPORT_RESOURCES, Resource
from exporter.settings.file import ConfigFile


class Plan(NamedTuple):
    """What to follow, and how."""

    config: ConfigFile
    namespaces: tuple[str, ...] = ()
    shard: tuple[int, int] = (0, 1)

    def scopes(self) -> list[Scope]:
        """Name every scope to follow; a namespaced plan leaves out what a Role cannot permit."""
        wanted: list[Resource] = [*REPORT_RESOURCES]
        if self.config.policies.watch:
            wanted += POLICY_RESOURCES
        if self.config.events.watch:
            wanted.append(EVENTS)
        if self.config.labels.namespace_labels:
            wanted.append(NAMESPACES)
        if not self.namespaces:
            return [Scope(resource) for resource in wanted]
        return [Scope(r, n) for r in wanted if r.namespaced for n in self.namespaces]
