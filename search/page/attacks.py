"""EER by attack, which is known of detectors that were exported: a run by itself scores dev as a whole."""

from __future__ import annotations

from search.page.figure import Figure, heat_map
from search.page.report_data import ReportData

COLOURS = ((0.0, "--unchanged"), (1.0, "--removed"))
LEAST = 0.05
"""Up to this EER at least the colours reach, so that a good front does not glow."""


def by_attack(subject: ReportData, split: str) -> tuple[list[str], list[str], list[list[float | None]]]:
    """EERs as fractions, attack by attack.

    Args:
        subject: with an export, or nothing is known.
        split: dev or eval.

    Returns:
        Detectors, attacks, and for every attack the EER of every detector; ``None`` for one that was not scored.
    """
    rows = subject.export.rows if subject.export else ()
    splits = subject.run.corpus["splits"]
    attacks = [name for name in splits.get(split, {}).get("attacks", []) if rows and f"eer_{split}_{name}" in rows[0]]
    scored = [row for row in rows if any(row[f"eer_{split}_{name}"] is not None for name in attacks)]
    names = [f"trial {row['trial']}" if row["role"] == "front" else str(row["name"]) for row in scored]
    return names, attacks, [[row[f"eer_{split}_{name}"] for row in scored] for name in attacks]


def attack_figure(subject: ReportData, split: str) -> Figure | None:
    """Attacks by detectors; nothing where nothing is known."""
    detectors, attacks, errors = by_attack(subject, split)
    if not detectors:
        return None
    texts = [["" if error is None else f"{100 * error:.1f}" for error in row] for row in errors]
    top = max([LEAST, *(error for row in errors for error in row if error is not None)])
    label = f"EER in percent on {split} by attack and detector"
    names = [name.removeprefix("trial ") for name in detectors]
    return heat_map(label, names, attacks, errors, texts, across="trial", colours=COLOURS, top=top)
