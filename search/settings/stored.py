"""Settings as a file has them: of this version or another, whose fields may be others."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from typing import Any

from trainables.errors import DropinError
from trainables.printable import printable

logger = logging.getLogger(__name__)
ALWAYS = ("space", "model", "corpus", "storage", "name")
"""Fields that every version writes: without them it is no run that is spoken of."""
SHOWN = 10
_said: set[str] = set()


def read_fields(text: str, known: Collection[str]) -> tuple[dict[str, Any], str]:
    """The fields of a JSON text that are known here.

    Args:
        text: what a file holds.
        known: the names of all fields of this version.

    Returns:
        Those that are there, and a sentence on what is not as in this version, or an empty text.

    Raises:
        DropinError: no JSON object, or a field that every version writes is missing.
        ValueError: no JSON.
        RecursionError: JSON without an end.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise DropinError(f"they must be a JSON object; got {data!r:.80}")
    if lost := [name for name in ALWAYS if name not in data]:
        raise DropinError(f"{', '.join(lost)} missing")
    ignored, missing = sorted(set(data) - set(known)), sorted(set(known) - set(data))
    parts = [f"it has {_listed(ignored)}, not known here and ignored"] if ignored else []
    parts += [f"it lacks {_listed(missing)}, which take their defaults"] if missing else []
    note = f"settings.json of run {data['name']!r:.80} is of another version: {'; '.join(parts)}" if parts else ""
    return {name: value for name, value in data.items() if name in known}, note


def warn_once(note: str) -> None:
    """Log a warning, unless this process has logged it before."""
    if note not in _said:
        _said.add(note)
        logger.warning("%s", note)


def _listed(names: list[str]) -> str:
    shown = [printable(name)[:40] for name in names[:SHOWN]]
    return ", ".join([*shown, *([f"{len(names) - SHOWN} more"] if len(names) > SHOWN else [])])
