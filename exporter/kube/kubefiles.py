"""Read kubeconfig files as client-go does, and choose a context.

Of several files the first that names a cluster, a user or a context counts; relative paths are
relative to the file that has them. https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import binascii
import os
import string
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import yaml

from exporter.errors import ConfigError, explain
from exporter.kube.access import is_header_value
from exporter.kube.exec_plugin import ExecPlugin
from exporter.kube.oidc import AuthProvider
from exporter.yamlfile import problem_of

_PLUGIN_CONFIG: Final = "client.authentication.k8s.io/exec"
_HEADER_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "!#$&'*+-.^_`|~")


class Extension(msgspec.Struct, frozen=True):
    """Something that a kubeconfig carries for another program."""

    name: str
    extension: object = None


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    """Where an API server is and how to know it."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    extensions: list[Extension] = []

    @property
    def authority_pem(self) -> str:
        """The authority's certificates in PEM, where they are in the kubeconfig itself."""
        return _decoded("certificate-authority-data", self.certificate_authority_data)

    @property
    def plugin_config(self) -> object:
        """What the kubeconfig has for exec plugins, by cluster."""
        return next((e.extension for e in self.extensions if e.name == _PLUGIN_CONFIG), None)


class User(msgspec.Struct, frozen=True, rename="kebab"):
    """Who to be. Secrets."""

    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    as_user: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: list[str] = []
    as_user_extra: dict[str, list[str]] = {}
    exec: ExecPlugin | None = None
    auth_provider: AuthProvider | None = None

    @property
    def certificate_pem(self) -> str:
        """The client certificate in PEM, where it is in the kubeconfig itself."""
        return _decoded("client-certificate-data", self.client_certificate_data)

    @property
    def key_pem(self) -> str:
        """The client certificate's key in PEM, where it is in the kubeconfig itself."""
        return _decoded("client-key-data", self.client_key_data)

    @property
    def impersonation(self) -> tuple[tuple[str, str], ...]:
        """The headers that ask the API server to act as another user.

        Raises:
            ConfigError: no header can carry a value, or groups are given without a user.
        """
        headers = [("Impersonate-User", self.as_user), ("Impersonate-Uid", self.as_uid)]
        headers += [("Impersonate-Group", group) for group in self.as_groups]
        for key, values in self.as_user_extra.items():
            headers += [(f"Impersonate-Extra-{_escaped(key)}", value) for value in values]
        headers = [(name, value) for name, value in headers if value]
        if headers and not self.as_user:
            raise ConfigError("as-uid, as-groups and as-user-extra need the key `as`")
        for name, value in headers:
            if not is_header_value(value):
                raise ConfigError(f"{name}: expected ASCII without control characters")
        return tuple(headers)


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: Cluster = Cluster()


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: User = User()


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context = _Context()


class _Kubeconfig(msgspec.Struct, frozen=True, rename="kebab"):
    current_context: str = ""
    contexts: list[_NamedContext] = []
    clusters: list[_NamedCluster] = []
    users: list[_NamedUser] = []


Named = TypeVar("Named", _NamedContext, _NamedCluster, _NamedUser)


class KubeContext(NamedTuple):
    """A context with all that it names. ``label`` names it and its files in messages.

    The files are those that have the cluster and the user.
    """

    name: str
    label: str
    cluster: Cluster
    user: User
    user_name: str
    cluster_file: Path
    user_file: Path

    @property
    def cluster_folder(self) -> Path:
        """What the cluster's paths are relative to."""
        return self.cluster_file.parent

    @property
    def user_folder(self) -> Path:
        """What the user's paths are relative to."""
        return self.user_file.parent


def read_context(paths: str, wanted: str = "") -> KubeContext:
    """Read files, joined by os.pathsep, and choose a context: *wanted*, or the current one.

    Raises:
        ConfigError: with file and line, with the field, or with the names that there are.
    """
    files = _existing(paths)
    read = [(Path(file).absolute(), _parsed(file)) for file in files]
    where = f"kubeconfig {os.pathsep.join(files)}"
    contexts = [(file, each) for file, config in read for each in config.contexts]
    name = wanted or next(filter(None, (config.current_context for _, config in read)), "")
    if not name:
        known = _names(each for _, each in contexts)
        raise ConfigError(f"{where}: no current-context; choose one with --context; {known}")
    _, chosen = _find(where, "context", name, contexts)
    where = f"{where}, context {name}"
    context = chosen.context
    if not context.cluster:
        raise ConfigError(f"{where}: the cluster is missing")
    clusters = [(file, each) for file, config in read for each in config.clusters]
    cluster_file, cluster = _find(where, "cluster", context.cluster, clusters)
    user_file, user = cluster_file, _NamedUser("")
    if context.user:
        users = [(file, each) for file, config in read for each in config.users]
        user_file, user = _find(where, "user", context.user, users)
    _check(where, cluster, user)
    return KubeContext(name, where, cluster.cluster, user.user, user.name, cluster_file, user_file)


def _check(where: str, cluster: _NamedCluster, user: _NamedUser) -> None:
    if not cluster.cluster.server:
        raise ConfigError(f"{where}: cluster {cluster.name}: server is missing")
    if (provider := user.user.auth_provider) is not None:
        try:
            provider.check()
        except ConfigError as error:
            raise ConfigError(f"{where}: user {user.name}: {error}") from error
        if user.user.exec is not None:
            both = "expected auth-provider or exec, found both"
            raise ConfigError(f"{where}: user {user.name}: {both}")
    try:
        for _ in (cluster.cluster.authority_pem, user.user.certificate_pem, user.user.key_pem):
            pass
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _find(
    where: str, kind: str, name: str, found: Sequence[tuple[Path, Named]]
) -> tuple[Path, Named]:
    """Find the first entry of a name."""
    for file, each in found:
        if each.name == name:
            return file, each
    raise ConfigError(f"{where}: no {kind} {name!r}; {_names(each for _, each in found)}")


def _names(found: Iterable[_NamedContext | _NamedCluster | _NamedUser]) -> str:
    return "available: " + (", ".join(sorted({each.name for each in found})) or "none")


def _existing(paths: str) -> list[str]:
    """Split a list of paths and keep those that exist."""
    files = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    found = [str(file) for file in files if file.exists()]
    if not found:
        raise ConfigError(f"kubeconfig {paths}: no such file")
    return found


def _parsed(file: str) -> _Kubeconfig:
    try:
        root = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if root is None:
            return _Kubeconfig()
        for at, key in _repeated(root):
            raise ConfigError(f"kubeconfig {file}, line {at}: {key} is repeated")
        document = yaml.SafeLoader("").construct_document(root)
        return msgspec.convert(_without_nulls(document), _Kubeconfig)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(f"kubeconfig {file}", error)) from error
    except OSError as error:
        raise ConfigError(f"kubeconfig {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"kubeconfig {file}{line}: not YAML: {problem_of(error)}") from error


def _repeated(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield each key that a mapping has twice, with its line."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _repeated(child)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                yield key.start_mark.line + 1, key.value
            seen.add(str(key.value))
            yield from _repeated(child)


def _without_nulls(value: object) -> object:
    """Leave out fields that are null: to Go they are absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _decoded(field: str, data: str) -> str:
    try:
        return b64decode("".join(data.split()), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{field}: expected PEM in base64") from error


def _escaped(key: str) -> str:
    """Spell a key of as-user-extra in a header's name, as client-go does."""
    return "".join(
        chr(byte) if chr(byte) in _HEADER_CHARACTERS else f"%{byte:02X}" for byte in key.encode()
    )
