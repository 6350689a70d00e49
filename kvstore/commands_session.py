"""KV.SESSION: what plain commands of this connection mean, and what it must not be shown again.

    KV.SESSION CL one|quorum|all    KV.SESSION R n W n    how many replicas its reads and writes wait for
    KV.SESSION TRACK on|off                               remember the version of each key read or written (class lww)
    KV.SESSION TOKEN                                      what is remembered, as a token
    KV.SESSION RESUME token                               go on with it, at this node or another
    KV.SESSION                                            what is set

With TRACK, reads of this connection never go behind what it has read or written, and its writes come after it: the four
session guarantees, for one client, without a quorum. In mode session it is always on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.contexts import TokenError, seal, unseal_rows
from kvstore.events import Tag, Value
from kvstore.session import KEYS_MAX, OK, Later, RefusalError, Session, command, positive, text

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
_PURPOSE = (b"session",)


def asks_token(args: Args) -> bool:
    """Whether this is what a client asks behind a request to be able to go on elsewhere: so a node that is stopping tells it, too."""
    return len(args) == 2 and args[1].upper() == b"TOKEN" and args[0].upper() == b"KV.SESSION"


@command("KV.SESSION", 1, 5)
def kv_session(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.SESSION [CL level | R n [W n] | W n | TRACK on|off | TOKEN | RESUME token]."""
    words = args[1:]
    if not words:
        return _shown(session)
    if words[0].upper() == b"TOKEN" and len(words) == 1:
        return _token(node, session)
    if len(words) % 2:
        raise RefusalError("BADARG", f"option '{text(words[-1])}' has no value")
    before = session.level, session.r, session.w, session.track, dict(session.seen)
    try:
        for option, value in zip(words[::2], words[1::2], strict=True):
            _set(node, session, option.upper(), value)
    except RefusalError:  # nothing was done
        session.level, session.r, session.w, session.track, session.seen = before
        raise
    session.has_defaults = True
    return OK


def _set(node: Node, session: Session, option: bytes, value: bytes) -> None:
    if option == b"CL":
        level = text(value).lower()
        if level not in {"one", "quorum", "all"}:
            raise RefusalError("BADARG", f"CL '{level}' is not known; choose one, quorum or all")
        session.level, session.r, session.w = level, None, None
    elif option in (b"R", b"W"):
        count = positive(text(option), value)
        session.level = None
        if option == b"R":
            session.r = count
        else:
            session.w = count
    elif option == b"TRACK" and value.lower() in (b"on", b"off"):
        session.track = value.lower() == b"on"
    elif option == b"RESUME":
        _resume(node, session, value)
    else:
        raise RefusalError("BADARG", f"KV.SESSION has no '{text(option)} {text(value[:16])}'")


def _shown(session: Session) -> Value:
    level = None if session.level is None else session.level.encode()
    return {
        "cl": level,
        "r": session.r,
        "w": session.w,
        "track": int(session.track),
        "keys": len(session.seen),
    }


def _token(node: Node, session: Session) -> Value:
    rows = [[bucket, key, *tag] for (bucket, key), tag in sorted(session.seen.items())]
    try:
        return seal(node.config.secret, _PURPOSE, rows)
    except TokenError as error:
        raise RefusalError("BADARG", f"{error}; a token is for a session of some dozen keys") from None


def _resume(node: Node, session: Session, token: bytes) -> None:
    try:
        rows = unseal_rows(node.config.secret, _PURPOSE, token)
    except TokenError as error:
        raise RefusalError("BADARG", str(error)) from None
    for bucket, key, hlc, node_name, incarnation, touched, expires_ms in rows:
        place, tag = (bucket, key), Tag(hlc, node_name, incarnation, touched, expires_ms)
        if len(session.seen) >= KEYS_MAX and place not in session.seen:
            raise RefusalError("OVERLOADED", f"a session remembers {KEYS_MAX} keys; open another connection")
        session.seen[place] = max(tag, session.seen.get(place, tag))
    session.track = True
