"""TOML, as far as the standard library leaves it to us: errors that name line and column or the word that was meant, and writing.

plan.toml:3:7: this is not TOML: Expected '=' after a key in a key/value pair
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class PlanError(Exception):
    """A plan, option or input that cannot be used: what is wrong, where, and what to do. Exit status 254."""


def nearest(word: Any, names: Iterable[str], *, told: bool = False) -> str:
    """`; did you mean …?` if a name is near, else the list of names (unless they were told already)."""
    names = tuple(names)
    near = get_close_matches(str(word), names, n=1, cutoff=0.75)
    if near:
        return f"; did you mean {near[0]!r}?"
    return "" if told else f"; there are {', '.join(names)}"


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Parse; `source` begins the message of the PlanError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(_toml_message(str(error), text, source)) from None
    except ValueError:
        raise PlanError(
            f"{source}: this is not TOML that can be read: a number has thousands of digits"
        ) from None
    except RecursionError:
        raise PlanError(
            f"{source}: this is not TOML that can be read: brackets are nested too deep"
        ) from None


def _toml_message(message: str, text: str, source: str) -> str:
    """`source:line:column: what`, from the parser's "what (at line 3, column 7)"."""
    what, _, where = message.rpartition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", where)
    if found:
        line, column = int(found[1]), int(found[2])
    else:
        lines = text.splitlines() or [""]
        line, column = len(lines), len(lines[-1]) + 1
    return f"{source}:{line}:{column}: this is not TOML: {what or message}"


def write_value(value: Any) -> str:
    """One value, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(write_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{write_key(key)} = {write_value(item)}" for key, item in value.items()) + "}"
    raise PlanError(f"a plan cannot hold {value!r}; use text, numbers, true and false, lists and tables")


def write_key(key: str) -> str:
    """A key, quoted if it must be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def _text(text: str) -> str:
    """A TOML basic string: quote, backslash and control characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"'
        + "".join(f"\\u{ord(char):04X}" if ord(char) < 32 or ord(char) == 127 else char for char in escaped)
        + '"'
    )
