"""A Dynamo-style key-value store: nodes without I/O, the server that runs them, and clients (docs/store.md, docs/client.md).

Programs use `quorate_client` (asyncio) or `blocking_client`; `kvstore.client_calls` are the calls of their pipelines.
"""

from kvstore.client_calls import Versions, Written
from kvstore.client_core import CallError, ConditionFailed, DefiniteError, MaybeAppliedError
from kvstore.cluster_client import QuorateClient, quorate_client
from kvstore.sync_client import BlockingClient, blocking_client

__all__ = [
    "BlockingClient",
    "CallError",
    "ConditionFailed",
    "DefiniteError",
    "MaybeAppliedError",
    "QuorateClient",
    "Versions",
    "Written",
    "blocking_client",
    "quorate_client",
]
