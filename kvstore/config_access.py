"""The tables of a configuration that say who may come in: `[users]` and `[tls]`."""

from __future__ import annotations

from typing import Any

import msgspec

from kvstore.config_checks import ConfigError, choice, known_keys, typed
from kvstore.users import CATEGORIES, HashError, User, hash_checked


class TlsConfig(msgspec.Struct, frozen=True):
    """Paths of PEM files, and whether clients must show a certificate. See `kvstore.server_tls`."""

    cert: str
    key: str
    ca: str
    require_client_cert: bool = False


def tls_from_table(table: Any) -> TlsConfig:
    """The `[tls]` table. Raises ConfigError."""
    typed("tls", table, dict)
    known_keys("[tls]", table, ["cert", "key", "ca", "require_client_cert"])
    for key in ("cert", "key", "ca"):
        if key not in table:
            raise ConfigError(f"[tls] has no {key}; it needs cert, key and ca, the paths of PEM files.")
        typed(f"{key} of [tls]", table[key], str)
    typed("require_client_cert", table.get("require_client_cert", False), bool)
    return TlsConfig(**table)


def users_from(table: Any) -> tuple[User, ...]:
    """The users of `[users.NAME]` tables. Raises ConfigError."""
    typed("users", table, dict)
    return tuple(_user(name, table[name]) for name in table)


def _user(name: str, table: Any) -> User:
    where = f'user "{name}"'
    typed(where, table, dict)
    known_keys(where, table, ["hash", "may"])
    if not name or len(name) > 64 or any(c.isspace() for c in name):
        raise ConfigError(
            f'The user name "{name[:64]}" is empty, long, or has spaces; choose one such as "shop".'
        )
    for key in ("hash", "may"):
        if key not in table:
            raise ConfigError(f"The {where} has no {key}; see kvstore/users.py for an example.")
    typed("hash", table["hash"], str)
    typed(f"may of {where}", table["may"], list)
    for each in table["may"]:
        choice(where, "may", each, CATEGORIES)
    try:
        return User(name, hash_checked(table["hash"]), frozenset(table["may"]))
    except HashError as error:
        raise ConfigError(f"The hash of {where} cannot be used: {error}.") from None
