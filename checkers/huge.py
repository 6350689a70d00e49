"""Integers of more digits than Python writes."""

from __future__ import annotations


class Huge(int):
    """An integer that Python refuses to write in decimals. In sentences it stands in hexadecimal."""

    def __repr__(self) -> str:
        return hex(self)

    __str__ = __repr__
