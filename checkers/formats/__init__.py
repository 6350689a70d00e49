"""Histories as others write them: Jepsen's EDN, its text logs, elle-cli's JSON; and our own JSON lines.

history = checkers.formats.load("history.edn")              the format by the first characters, or load(path, "edn")
checkers.formats.dump(history, "history.jsonl")             or dump(history, path, "edn")
"""

from checkers.formats.files import AUTO, FORMATS, dump, load, sniff

__all__ = ["AUTO", "FORMATS", "dump", "load", "sniff"]
