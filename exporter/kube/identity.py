"""Which cluster this is."""

from typing import Final

import msgspec

from exporter.errors import ApiError, Malformed, Refused
from exporter.kube.client import Client, Request

_PATH: Final = "/api/v1/namespaces/kube-system"


class _Metadata(msgspec.Struct):
    uid: str = ""


class _Namespace(msgspec.Struct):
    metadata: _Metadata


async def cluster_id(client: Client) -> str:
    """Return the uid of the namespace kube-system, by convention the cluster's identity.

    Empty where it may not be read, as with a Role in other namespaces.

    Raises:
        ApiError: there was no answer; ask again.
        Malformed: the answer is no namespace.
    """
    try:
        body = await client.get(Request(_PATH, resource="namespaces", verb="get"))
    except Refused:
        return ""
    except ApiError as error:
        if error.status == 404:
            return ""
        raise
    try:
        return msgspec.json.decode(body, type=_Namespace).metadata.uid
    except msgspec.MsgspecError as error:
        raise Malformed(f"{_PATH}: {error}") from error
