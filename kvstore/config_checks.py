"""What every table of a configuration is checked with. An error is one sentence: what, where, what to do; no secret is in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

SECRET = ("password", "secret", "hash")  # fields whose values are never shown
TTL_S_MAX = 100 * 366 * 86_400  # a century

_HOUR, _DAY = 3_600_000, 86_400_000
DURATIONS_MS: Mapping[str, tuple[float, float]] = {  # the least and the most
    "request_timeout_ms": (1, _HOUR),
    "login_timeout_ms": (1, _HOUR),
    "heartbeat_ms": (1, _HOUR),
    "gossip_ms": (0, _HOUR),
    "anti_entropy_ms": (0, 30 * _DAY),
    "scrub_ms": (0, 30 * _DAY),
    "tombstone_grace_ms": (0, 3660 * _DAY),
    "hint_window_ms": (0, 366 * _DAY),
    "max_clock_skew_ms": (0, _DAY),
}
COUNTS: Mapping[str, tuple[int, int]] = {
    "transfers_max": (1, 256),  # all partitions
    "max_clients": (1, 1_000_000),
    "max_request_bytes": (1, 1 << 40),
    "max_requests": (1, 1_000_000),
    "max_value_bytes": (1, 15 << 20),  # a frame between nodes has 16 MiB
    "hint_bytes_max": (1, 1 << 50),
    "hint_bytes_per_s": (1, 1 << 40),
}


class ConfigError(Exception):
    """The configuration is wrong. One sentence: what, where, what to do."""


def choice(where: str, field: str, value: object, choices: Iterable[str]) -> None:
    """The value must be one of the choices. Raises ConfigError."""
    if value not in (choices := tuple(choices)):
        raise ConfigError(
            f'In {where}, {field} = "{str(value)[:60]}" is not known; choose from {", ".join(choices)}.'
        )


def number_checked(field: str, value: object) -> None:
    """A number of the node's configuration: of its kind, and within its range. Raises ConfigError."""
    whole = field in COUNTS
    least, most = COUNTS[field] if whole else DURATIONS_MS[field]
    kind = "a whole number" if whole else "a number of milliseconds"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ConfigError(f"{field} = {shown(value)} is not {kind}; choose {least:,} to {most:,}.")
    if not least <= value <= most:  # NaN is not
        raise ConfigError(
            f"{field} = {shown(value)} is out of range; choose {kind} from {least:,} to {most:,}."
        )


def shown(value: object) -> str:
    """A value in an error: not longer than a person reads."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


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
