"""Files that people write, as text. What is none is said in words, with the place.

nightly.toml: cannot be read as a campaign: line 4 is not text in UTF-8; save it as UTF-8, or give another file
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path

from harness.plan_toml import PlanError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, what: str) -> str:
    """The text of a file, without the mark that some editors put before it. Raises PlanError; `what` it should be, such as "a plan"."""
    try:
        return decoded(path.read_bytes())
    except NotText as error:
        raise PlanError(f"{path}: cannot be read as {what}: {error}") from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read as {what}: {unread(error)}") from None


class NotText(ValueError):
    """The bytes are not UTF-8: where, and what to do."""


def decoded(data: bytes) -> str:
    """The text of these bytes. Raises NotText."""
    if data.startswith(UTF_16):
        raise NotText("it is text in UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise NotText("it is no text at all; give another file") from None
        line = data[: error.start].count(b"\n") + 1
        raise NotText(f"line {line} is not text in UTF-8; save it as UTF-8, or give another file") from None


def unread(error: OSError) -> str:
    """Why the system did not let it be read, without numbers and names of calls."""
    if isinstance(error, IsADirectoryError):
        return "it is a directory; give the file in it"
    return f"{(error.strerror or 'the disk gave an error').lower()}; look at the path, and whether you may read it"


def no_json(error: ValueError | RecursionError) -> str:
    """Why a text is no JSON, with the place as `line 2, column 5`."""
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON from line {error.lineno}, column {error.colno} on"
    if isinstance(error, NotText):
        return str(error)
    return "a value in it is nested too deep or too long to be read"
