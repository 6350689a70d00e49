"""What every table of a configuration is checked with. An error is one sentence: what, where, what to do; no secret is in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

SECRET = ("password", "secret", "hash")  # fields whose values are never shown
TTL_S_MAX = 100 * 366 * 86_400  # a century


class ConfigError(Exception):
    """The configuration is wrong. One sentence: what, where, what to do."""


def choice(where: str, field: str, value: object, choices: Iterable[str]) -> None:
    """The value must be one of the choices. Raises ConfigError."""
    if value not in (choices := tuple(choices)):
        raise ConfigError(f'In {where}, {field} = "{value}" is not known; choose from {", ".join(choices)}.')


def typed(field: str, value: object, kind: type) -> None:
    """The value must be of this kind. Raises ConfigError."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {str: "text", int: "a whole number", dict: "a table", list: "a list", bool: "true or false"}
        shown = field if field in SECRET else f"{field} = {value!r}"
        raise ConfigError(f"{shown} should be {names[kind]}; correct it.")


def known_keys(where: str, table: Mapping[str, Any], known: list[str]) -> None:
    """Every key of the table must be known. Raises ConfigError."""
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}."
            raise ConfigError(f'Unknown key "{key}" in {where}; {hint}')


def ttl_checked(where: str, ttl_s: object, mode: str, *, mortal: bool) -> None:
    """The usual lifetime of a bucket's values: whole seconds, and only where values have deadlines. Raises ConfigError."""
    typed(f"ttl_s of {where}", ttl_s, int)
    if not isinstance(ttl_s, int) or not 0 <= ttl_s <= TTL_S_MAX:
        raise ConfigError(f"In {where}, ttl_s = {ttl_s} is no lifetime; choose 0 (for good) to {TTL_S_MAX}.")
    if ttl_s and not mortal:
        raise ConfigError(
            f"In {where}, values of mode {mode} have no deadlines; leave ttl_s out, or choose mode eventual, quorum, monotonic or session."
        )
