"""Markdown of tables and of texts that come from corpora."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainables.printable import printable


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; its first column is of words, the others are of numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(escape(cell) for cell in line)} |" for line in lines]


def escape(text: str) -> str:
    """Escape a text for Markdown: names come from corpora and may have any characters."""
    escaped = re.sub(r"([\\`*_~\[\]|])", r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
