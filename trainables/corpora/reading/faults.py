"""Faults of a corpus: where each is, and how those of one kind become one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.printable import printable

MAX_ALIKE = 5
"""Faults of one kind in one file or folder, of which each has its line; of more than these only the first one has."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file or folder, or with a line of it.

    Attributes:
        path: of the file or folder.
        text: what is wrong with it.
        line: number of the line, from 1, or ``None`` for the whole.
        kind: equal for those faults that differ only in names and values.
    """

    path: Path
    text: str
    line: int | None
    kind: str

    def shown(self, root: Path) -> str:
        """One line of printable text; the path is shown from the root of the corpus."""
        return f"{location(self.path, self.line, root)}: {printable(self.text)}"


def location(path: Path, line: int | None, root: Path) -> str:
    """A place in a corpus, as its user is shown it."""
    shown = path.relative_to(root) if path.is_relative_to(root) and path != root else path
    return printable(shown if line is None else f"{shown}:{line}")


def folded(faults: Sequence[Fault], root: Path) -> list[str]:
    """Faults as lines in their order; where many are of one kind, the first one counts the others."""
    groups: dict[tuple[Path, str], list[Fault]] = {}
    for fault in faults:
        whole = fault.path.parent if fault.line is None else fault.path
        groups.setdefault((whole, fault.kind), []).append(fault)
    lines = []
    for group in groups.values():
        if len(group) <= MAX_ALIKE:
            lines += [fault.shown(root) for fault in group]
        else:
            things = "files" if group[0].line is None else "lines"
            lines.append(f"{group[0].shown(root)} (and {len(group) - 1:,} more {things} like it)")
    return lines
