"""Text of strangers, made so that it stays where it is put.

    a line break in a key             written out as \\n: a value is one line
    a mark that turns the direction   written out as \\u202e: what follows keeps its order
    Hebrew or Arabic                  an island of its own: the numbers after it are not drawn before it
    a value of a megabyte             its beginning, and how long it is

Keys and values come from the system under test. HTML escaping keeps them from being markup; it does not keep them from spoiling the sentence
around them. References: Unicode Standard Annex 9 (isolates); Boucher & Anderson, Trojan Source, 2021.
"""

from __future__ import annotations

import re
from typing import Any, Final

ISLAND, END = "\u2068", "\u2069"  # first strong isolate, pop directional isolate
_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066\u2067\ufeff\ufff9-\ufffb\ud800-\udfff]")  # fmt: skip
_BREAK: Final = re.compile("[\t\n]")
_RIGHT: Final = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_TURNING: Final = re.compile(f"{ISLAND}[^{ISLAND}{END}]*{END}|[{ISLAND}{END}]|[{_RIGHT}](?:[^A-Za-z{ISLAND}{END}\n]*[{_RIGHT}])?")  # fmt: skip
TEXT_CHARACTERS_MAX: Final = 4_000


def visible(text: str) -> str:
    """The text with nothing in it that is not seen, and that turns nothing around it. What it makes, it leaves as it is."""
    if text.isascii() and text.isprintable():
        return text
    return _TURNING.sub(_island, _UNSEEN.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _island(found: re.Match[str]) -> str:
    text = found[0]
    if text in (ISLAND, END):
        return _escaped(found)
    return text if text.startswith(ISLAND) else f"{ISLAND}{text}{END}"


def one_line(text: str) -> str:
    """The same, with line breaks written out."""
    return visible(_BREAK.sub(_escaped, text))


def cut(value: Any, most: int = TEXT_CHARACTERS_MAX) -> Any:
    """Plain data in which no text is longer than that; of a longer one the beginning stays, and how long it was."""
    if isinstance(value, str) and len(value) > most:
        return f"{value[:most]}… ({len(value):,} characters)"
    if isinstance(value, dict):
        return {cut(key, most): cut(inner, most) for key, inner in value.items()}
    return [cut(inner, most) for inner in value] if isinstance(value, list | tuple) else value
