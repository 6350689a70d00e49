"""Logging in, and what one may then do: AUTH, HELLO, RESET, ACL.

    AUTH user password ──► Verify(hash, password) ──► a thread of the server: scrypt ──► Verified ──► OK | WRONGPASS
                              (the session waits)

With `[users]` in the configuration, a user's password is checked so; whether there is such a user makes no difference in
time. With a `password` only, it is that of the user "default", who may do everything.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from kvstore.events import Failure, Log, Simple, UseProtocol, Value, Verify
from kvstore.session import LATER, OK, Later, RefusalError, Session, command, text
from kvstore.users import CATEGORIES, CATEGORY, CONNECTION, WORD_MAX, nobody_like

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
REDIS_VERSION = b"7.0.0"  # the command dialect; some clients choose features by it
_WRONG = Failure("WRONGPASS", "invalid user name or password")
_BUSY = Failure("OVERLOADED", "too many logins are being checked; try again")


@command("RESET", 1, 1, open=True)
def reset(node: Node, session: Session, args: Args) -> Value | Later:
    """RESET: the session as it was when it was opened."""
    session.reset(node.config)
    node.emit(UseProtocol(session.conn, 2))
    return Simple("RESET")


@command("AUTH", 2, 3, open=True)
def auth(node: Node, session: Session, args: Args) -> Value | Later:
    """AUTH [user] password; the user is "default" if none is named."""
    return _login(node, session, args[1] if len(args) == 3 else b"default", args[-1], lambda: OK)


def _login(
    node: Node, session: Session, user: bytes, password: bytes, then: Callable[[], Value]
) -> Value | Later:
    """Check the password, now or later; `then` makes the answer if it is right."""
    config = node.config
    if len(user) > WORD_MAX or len(password) > WORD_MAX:
        return _WRONG
    if config.users:
        found = next((each for each in config.users if each.name == text(user)), None)
        session.login = found, then
        hashed = found.hash if found else nobody_like(config.users[0].hash)
        node.emit(Verify(session.conn, hashed, password))
        return LATER
    if config.password is None:
        raise RefusalError("ERR", "AUTH without a password configured on this node; leave it out")
    if user != b"default" or not hmac.compare_digest(password, config.password.encode()):
        node.emit(Log("a client gave a wrong password", "login"))
        return _WRONG
    session.authenticated = True
    return then()


def verified(node: Node, session: Session, good: bool | None) -> None:
    """The password has been checked; None: it has not, there were too many to check."""
    login, session.login = session.login, None
    assert login is not None
    user, then = login
    if not good or user is None:
        if good is not None:
            who = f"user {user.name}" if user else "a user that does not exist"
            node.emit(Log(f"a client gave a wrong password for {who}", "login"))
        node.respond(session, _BUSY if good is None else _WRONG)
        return
    session.authenticated, session.user, session.may = True, user.name, user.may
    node.respond(session, then())


@command("HELLO", 1, 0, open=True)
def hello(node: Node, session: Session, args: Args) -> Value | Later:
    """HELLO [2|3 [AUTH user password] [SETNAME name]]."""
    version = session.protocol
    if len(args) > 1:
        if args[1] not in (b"2", b"3"):
            raise RefusalError("NOPROTO", "unsupported protocol version; choose 2 or 3")
        version = int(args[1])
    rest, name = args[2:], session.name
    login: Args = ()
    while rest:
        option = rest[0].upper()
        if option == b"AUTH" and len(rest) >= 3:
            login, rest = rest[1:3], rest[3:]
        elif option == b"SETNAME" and len(rest) >= 2 and len(rest[1]) <= WORD_MAX:
            name, rest = rest[1], rest[2:]
        else:
            raise RefusalError("ERR", f"syntax error in HELLO option '{text(rest[0][:64])}'")

    def then() -> Value:
        session.name, session.protocol = name, version
        node.emit(UseProtocol(session.conn, version))
        return _about(session, version)

    if login:
        return _login(node, session, login[0], login[1], then)
    if not session.authenticated:
        raise RefusalError("NOAUTH", "HELLO must be called with AUTH; this node asks for a login")
    return then()


def _about(session: Session, version: int) -> Value:
    return {
        "server": b"quorate",
        "version": REDIS_VERSION,
        "proto": version,
        "id": session.conn,
        "mode": b"standalone",
        "role": b"master",
        "modules": [],
    }


@command("ACL", 2, 3)
def acl(node: Node, session: Session, args: Args) -> Value | Later:
    """ACL WHOAMI | USERS | CAT [category]."""
    sub = args[1].upper()
    if sub == b"WHOAMI" and len(args) == 2:
        return session.user.encode()
    if sub == b"USERS" and len(args) == 2:
        return [each.name.encode() for each in node.config.users] or [b"default"]
    if sub == b"CAT":
        categories = (*CATEGORIES, CONNECTION)
        if len(args) == 2:
            return [each.encode() for each in categories]
        if text(args[2]) in categories:
            return [name.lower() for name, found in CATEGORY.items() if found == text(args[2])]
    raise RefusalError(
        "ERR", "ACL does WHOAMI, USERS and CAT [category]; users are made in the node's configuration"
    )
