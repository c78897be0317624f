"""Kubeconfig files for tests."""

from collections.abc import Mapping
from pathlib import Path

import yaml


def kubeconfig(
    directory: Path,
    server: str,
    user: Mapping[str, object],
    cluster: Mapping[str, object] | None = None,
    *,
    name: str = "here",
) -> str:
    """Write a kubeconfig with one context of that name; return its path."""
    path = directory / f"{name}.kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)
