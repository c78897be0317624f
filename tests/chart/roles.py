"""What a role allows, one permission at a time."""

from tests.chart.rendering import Json, at, items

Permission = tuple[str, str, str, str]


def permissions(role: Json) -> set[Permission]:
    """Return (verb, group, plural, name) for everything that the role allows."""
    return {
        (str(verb), str(group), str(plural), str(name))
        for rule in items(at(role, "rules"))
        for verb in items(at(rule, "verbs"))
        for group in items(at(rule, "apiGroups"))
        for plural in items(at(rule, "resources"))
        for name in items(at(rule, "resourceNames") or ["*"])
    }
