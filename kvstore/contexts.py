"""Tokens that clients carry: what they have seen, in a form that they cannot read and must not change.

    context ── msgpack ── HMAC under the cluster's secret ── base64url ──► "qXk…"         at most 4 KiB

A token is bound to what it is for, such as a bucket and a key. One made elsewhere is refused, not guessed at: a context
that covers what its client has never seen would silently remove it.

Without a `secret` in the configuration the key is empty: that keeps out accidents, and nobody who means harm. So what a token holds is checked
all the same: whatever it says must not end the node.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated, Any, Final

import msgspec

from kvstore.causal import Context

BYTES_MAX: Final = 4096
_MARK: Final = 16
Count = Annotated[int, msgspec.Meta(ge=0)]
Row = tuple[str, bytes, Count, str, Count, Count, Count]  # bucket, key, and the five parts of a tag


class TokenError(Exception):
    """The token cannot be used, or cannot be made: one sentence. Nothing was done."""


def seal(secret: str, purpose: tuple[bytes, ...], content: Any) -> bytes:
    """The token of plain data. Raises TokenError if it would be too long."""
    body = msgspec.msgpack.encode(content)
    token = urlsafe_b64encode(_mark(secret, purpose, body) + body)
    if len(token) > BYTES_MAX:
        raise TokenError(
            f"what was seen takes {len(token)} bytes as a token; at most {BYTES_MAX} are allowed"
        )
    return token


def unseal(secret: str, purpose: tuple[bytes, ...], token: bytes) -> Any:
    """The plain data of a token. Raises TokenError."""
    if len(token) > BYTES_MAX:
        raise TokenError(f"the token has {len(token)} bytes; at most {BYTES_MAX} are allowed")
    try:
        packed = urlsafe_b64decode(token)
        if not hmac.compare_digest(packed[:_MARK], _mark(secret, purpose, packed[_MARK:])):
            raise TokenError("the token was not made for this by this cluster; use the one of your last read")
        return msgspec.msgpack.decode(packed[_MARK:])
    except (ValueError, msgspec.DecodeError):
        raise TokenError("this is no token; use the one of your last read, as it was") from None


def unseal_rows(secret: str, purpose: tuple[bytes, ...], token: bytes) -> list[Row]:
    """The versions in a session's token. Raises TokenError."""
    try:
        return msgspec.convert(unseal(secret, purpose, token), list[Row])
    except msgspec.ValidationError:
        raise TokenError("this is no token of a session; use the one that it told, as it was") from None


def seal_context(secret: str, bucket: str, key: bytes, context: Context) -> bytes:
    """A context as a client carries it. Raises TokenError."""
    return seal(secret, (b"context", bucket.encode(), key), context.pack())


def unseal_context(secret: str, bucket: str, key: bytes, token: bytes) -> Context:
    """The inverse. Raises TokenError."""
    seen = unseal(secret, (b"context", bucket.encode(), key), token)
    try:
        return Context.unpack(seen)
    except ValueError:
        raise TokenError("this is no context; use the one of your last read, as it was") from None


def _mark(secret: str, purpose: tuple[bytes, ...], body: bytes) -> bytes:
    made = hmac.new(secret.encode(), digestmod=lambda: blake2b(digest_size=_MARK))
    for part in (*purpose, body):
        made.update(len(part).to_bytes(4, "big") + part)
    return made.digest()
