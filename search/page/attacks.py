"""EER by attack, from an export: the run itself computes only the EER over all attacks of dev."""

from __future__ import annotations

from search.page.figure import Figure, heat_map
from search.page.report_data import ReportData

COLOURS = ((0.0, "--unchanged"), (1.0, "--removed"))
MIN_TOP = 0.05
"""Smallest upper end of the colour scale, so that a good front is not coloured like a bad one."""


def by_attack(data: ReportData, split: str) -> tuple[list[str], list[str], list[list[float | None]]]:
    """EERs by attack, as fractions.

    Args:
        data: of the report; without an export all lists are empty.
        split: dev or eval.

    Returns:
        Detectors, attacks, and for every attack the EER of every detector; ``None`` where it was not scored.
    """
    rows = data.export.rows if data.export else ()
    splits = data.run.corpus["splits"]
    attacks = [name for name in splits.get(split, {}).get("attacks", []) if rows and f"eer_{split}_{name}" in rows[0]]
    scored = [row for row in rows if any(row[f"eer_{split}_{name}"] is not None for name in attacks)]
    names = [f"trial {row['trial']}" if row["role"] == "front" else str(row["name"]) for row in scored]
    return names, attacks, [[row[f"eer_{split}_{name}"] for row in scored] for name in attacks]


def attack_figure(data: ReportData, split: str) -> Figure | None:
    """A heat map of attacks by detectors, or ``None`` without an export."""
    detectors, attacks, eers = by_attack(data, split)
    if not detectors:
        return None
    texts = [["" if eer is None else f"{100 * eer:.1f}" for eer in row] for row in eers]
    top = max([MIN_TOP, *(eer for row in eers for eer in row if eer is not None)])
    label = f"EER in percent on {split} by attack and detector"
    names = [name.removeprefix("trial ") for name in detectors]
    return heat_map(label, names, attacks, eers, texts, x_title="trial", colours=COLOURS, top=top)
