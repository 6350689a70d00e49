"""EDN, Clojure's notation for data: text in, values out. Pure, and it never recurses, whatever comes in.

    text ──regex──► tokens ──loop──► values          {:f :cas, :value [1 2]}  ->  {"f": "cas", "value": [1, 2]}
                             │
                             └── a stack of open brackets

A keyword or symbol becomes its name, as a `Keyword`, which is text. Lists and vectors become lists (in Clojure they are equal); a set becomes a
list in canonical order. A tagged literal `#inst "…"` becomes `{"#inst": "…"}`: without the tag, two values could become one. `#_` is a comment.

Why no package: `edn_format` 0.8.0, the one in use, wants the whole text at once and was 13 times slower on a history of Knossos.
Reference: the EDN specification, github.com/edn-format/edn.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from checkers.jsonl import HistoryError, encode_value

MAX_DEPTH: Final = 150
TOKEN_MAX: Final = 1 << 24
_ATOMS_MAX, _ATOM_LENGTH_MAX = 1 << 16, 64
_SPACE: Final = " \t\r\n\f\v,\x1c\x1d\x1e\x1f"
_END: Final = r"\s,;\"()\[\]{}"
_TOKEN: Final = re.compile(
    rf"""[{_SPACE}]*+(
        ;[^\n]*+                        # a comment
      | "(?:[^"\\]|\\.)*+"              # text
      | ".*                             # text that is not closed
      | \#\{{ | \#_ | [()\[\]{{}}]
      | \#\#?[^{_END}\#]*+              # a tag, or ##Inf
      | \\\S[^{_END}]*+                 # a character
      | [^{_END}]++ | . | \Z            # anything else, and the end
    )""",
    re.VERBOSE | re.DOTALL,
)
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*)N?")
_FLOAT: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?")
_NUMBER: Final = re.compile(r"[+-]?[0-9]")
_NAME: Final = re.compile(r"[^:#`~@^\\][^`~@^\\]*")
_OPENS: Final = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_CLOSES: Final = frozenset(")]}")
_CHARACTERS: Final = {
    "newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b",
}  # fmt: skip
_UNSEEN: Final = object()


class Keyword(str):
    """The name of a keyword or symbol: `:read` is `Keyword("read")`, and equal to the text `"read"`."""

    __slots__ = ()


def parse(text: str) -> list[Any]:
    """Every value of the text, in order. HistoryError names line and column, and what was expected."""
    return list(Reader([text]))


class Reader:
    """The values of a text that comes in pieces, one at a time.

    With `spread`, a first vector or list is not one value: its items are. So a million maps in one vector are never held at once.
    """

    def __init__(self, pieces: Iterable[str], *, spread: bool = False) -> None:
        self._pieces = iter(pieces)
        self._spread = spread
        self._atoms: dict[str, Any] = {
            "nil": None, "true": True, "false": False,
            "##Inf": float("inf"), "##-Inf": float("-inf"), "##NaN": float("nan"),
        }  # fmt: skip
        self._buffer = ""
        self._begins = (1, 1)  # line and column of the buffer's first character
        self._rescan()
        self._first = 0  # the token of the buffer that where() is about
        self._begun = ""  # the place of what where() is about, if it was in an earlier buffer

    def where(self) -> str:
        """The place of the value that came last."""
        return self._begun or self._place(self._first)

    def __iter__(self) -> Iterator[Any]:
        stack: list[tuple[str, list[Any] | None]] = []  # what is open around `opener` and `items`
        opener, items = "", None  # type: str, list[Any] | None
        floor = 0  # how many brackets are open around the values to yield
        started = ended = False
        for tokens in self._tokens():
            for number, token in enumerate(tokens):
                value = self._atoms.get(token, _UNSEEN)
                if len(stack) == floor:
                    self._first, self._begun = number, ""
                if value is _UNSEEN:
                    if token[0] == ";":
                        continue
                    if ended:
                        raise self._wrong(number, "nothing expected after the bracket that closes the text")
                    if token in _CLOSES:
                        value = self._close(token, opener, items, number)
                        opener, items = stack.pop()
                    elif token in _OPENS or (token[0] == "#" and token[:2] != "##"):
                        if len(stack) >= MAX_DEPTH:
                            raise self._wrong(number, f"values are nested more than {MAX_DEPTH} deep")
                        floor += self._spread and not started and token in "(["
                        started = True
                        stack.append((opener, items))
                        opener, items = token, [] if token in _OPENS else None
                        continue
                    else:
                        value = self._atom(token, number)
                elif ended:
                    raise self._wrong(number, "nothing expected after the bracket that closes the text")
                started = True
                while items is None and stack:
                    tag = opener
                    opener, items = stack.pop()
                    if tag == "#_":
                        break
                    value = self._tagged(tag, value, number)
                else:
                    if len(stack) < floor:
                        ended = True
                    elif len(stack) == floor:
                        yield value
                    elif items is not None:
                        items.append(value)
            if len(stack) > floor:
                self._begun = self.where()
        if stack:
            missing = repr(_OPENS[opener]) if opener in _OPENS else "a value"
            raise HistoryError(
                f"{self.where()}: the text ends inside this; it was cut off, {missing} expected"
            )

    def _tokens(self) -> Iterator[list[str]]:
        """The tokens of one buffer after another. A token that the next piece might go on with is kept for then."""
        for piece in self._pieces:
            if len(self._buffer) > TOKEN_MAX:
                raise self._wrong(0, f"something is longer than {TOKEN_MAX:,} characters")
            self._buffer += piece
            tokens = self._split()
            if not tokens:
                self._advance(len(self._buffer))
                continue
            last = tokens.pop()
            rest = self._buffer.rfind(last)
            yield tokens
            self._advance(rest)
        yield self._split()

    def _split(self) -> list[str]:
        self._rescan()
        tokens: list[str] = _TOKEN.findall(self._buffer)
        while tokens and not tokens[-1]:
            tokens.pop()
        return tokens

    def _advance(self, size: int) -> None:
        """Forget the first characters of the buffer, but not how many lines they were."""
        if size < self._at:
            self._rescan()
        self._move(size)
        self._buffer = self._buffer[size:]
        self._begins, self._first = (self._line, self._column), 0
        self._rescan()

    def _rescan(self) -> None:
        """Go back to the buffer's beginning."""
        self._seen, self._at = 0, 0  # tokens and characters gone over
        self._line, self._column = self._begins
        self._scan = _TOKEN.finditer(self._buffer)

    def _move(self, at: int) -> None:
        """Go on to this character of the buffer."""
        lines = self._buffer.count("\n", self._at, at)
        self._column = at - self._buffer.rfind("\n", self._at, at) if lines else self._column + at - self._at
        self._line += lines
        self._at = at

    def _place(self, token: int) -> str:
        """Line and column of a token. Tokens have no positions, as few are asked for: go over them again, once."""
        if token < self._seen:
            self._rescan()
        found = next(islice(self._scan, token - self._seen, None), None)
        self._seen = token + 1
        self._move(len(self._buffer) if found is None else found.start(1))
        return f"line {self._line}, column {self._column}"

    def _wrong(self, token: int, text: str) -> HistoryError:
        return HistoryError(f"{self._place(token)}: {text}")

    def _close(self, token: str, opener: str, items: list[Any] | None, number: int) -> Any:
        """The value of a bracket that closes."""
        if _OPENS.get(opener) != token or items is None:
            expected = repr(_OPENS[opener]) if opener in _OPENS else "a value"
            raise self._wrong(number, f"{expected} expected, not {token!r}")
        if opener == "{":
            return self._map(items, number)
        if opener == "#{":
            texts = {self._checked(item, number): item for item in items}
            if len(texts) != len(items):
                raise self._wrong(number, "a set has the same element twice; remove one")
            return [item for _, item in sorted(texts.items(), key=_order)]
        return items

    def _checked(self, value: Any, number: int) -> str:
        try:
            return encode_value(value)
        except HistoryError as error:
            raise self._wrong(number, str(error)) from None

    def _map(self, items: list[Any], number: int) -> dict[Any, Any]:
        if len(items) % 2:
            raise self._wrong(number, "a map has a key without a value; add the value")
        names = items[::2]
        try:
            found = dict(zip(names, items[1::2], strict=True))
        except TypeError:
            try:
                found = dict(zip(map(_frozen, names), items[1::2], strict=True))
            except TypeError:
                raise self._wrong(number, "a map has a map as a key; use numbers, text or vectors") from None
        if len(found) != len(names):
            raise self._wrong(number, "a map has the same key twice; remove one")
        return found

    def _tagged(self, tag: str, value: Any, number: int) -> Any:
        """The value that a tag stands before."""
        if tag.startswith("#:") and isinstance(value, dict):
            space = tag[2:]
            return {
                Keyword(f"{space}/{name}") if type(name) is Keyword and "/" not in name else name: item
                for name, item in value.items()
            }
        try:
            if tag == "#quorate/bytes":
                return base64.b64decode(value, validate=True)
            if tag == "#quorate/int":
                return int(value, 16)
        except (TypeError, ValueError, binascii.Error) as error:
            raise self._wrong(number, f"{tag} cannot be read ({error})") from None
        if _NAME.fullmatch(tag, 1) is None:
            raise self._wrong(number, f"a tag such as #inst expected, not {tag!r}")
        return {tag: value}

    def _atom(self, token: str, number: int) -> Any:
        """The value of a token that is no bracket, remembered."""
        try:
            value = _atom(token)
        except ValueError as error:
            raise self._wrong(number, str(error)) from None
        if len(token) < _ATOM_LENGTH_MAX and len(self._atoms) < _ATOMS_MAX:
            self._atoms[token] = value
        return value


def _atom(token: str) -> Any:
    """The value of a number, text, keyword, symbol or character. ValueError with the sentence."""
    if _INTEGER.fullmatch(token):
        if len(token) > 4000:
            raise ValueError("a number has more than 4,000 digits")
        return int(token.rstrip("N"))
    if token[0] == '"':
        return _text(token)
    if token[0] == ":" and _NAME.fullmatch(token, 1):
        return Keyword(token[1:])
    if _FLOAT.fullmatch(token):
        return _float(token)
    if token[0] == "\\" and len(token) > 1:
        return _character(token[1:])
    if _NUMBER.match(token) or not _NAME.fullmatch(token) or token.isspace():
        shown = token if len(token) <= 40 else token[:40] + "…"
        raise ValueError(f'a value such as 1, 1.5, :word or "text" expected, not {shown!r}')
    return Keyword(token)


def _text(token: str) -> str:
    if _TEXT.fullmatch(token) is None:
        raise ValueError("a text begins here and is not closed; '\"' expected")
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError as error:
        raise ValueError(
            f'a text has an escape that is none of \\" \\\\ \\n \\r \\t \\b \\f \\uXXXX ({error})'
        ) from None


def _float(token: str) -> float:
    number = float(token.rstrip("M"))
    if token[-1] == "M" and Decimal(token[:-1]) != Decimal(repr(number)):
        raise ValueError(f"the decimal {token[:40]} has no exact form; write it as text")
    return number


def _character(name: str) -> str:
    if len(name) == 1:
        return name
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if re.fullmatch("u[0-9a-fA-F]{4}", name):
        return chr(int(name[1:], 16))
    raise ValueError(f"a character such as \\a, \\newline or \\u0041 expected, not {name[:40]!r}")


def _frozen(value: Any) -> Any:
    """A vector as a key is a tuple. Its depth is bounded by MAX_DEPTH."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _order(item: tuple[str, Any]) -> tuple[bool, float, str]:
    """Numbers by size, the rest by their text."""
    text, value = item
    number = type(value) is int and abs(value) < 1 << 53
    return not number, value if number else 0, text
