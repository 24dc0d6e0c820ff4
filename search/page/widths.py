"""Width of every site of the front's members, relative to the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.page.figure import Figure, heat_map
from search.runs.record import Record

COLOURS = ((0.0, "--removed"), (0.5, "--unchanged"), (1.0, "--grown"))
TOP = 2.0
"""Upper end of the colour scale, also for sites that the base does not have."""


def relative_widths(front: Sequence[Record], base: Mapping[str, int]) -> dict[str, list[float | None]]:
    """For every site the width of each member over that of the base: 0 is removed, 1 unchanged, above 1 grown.

    If the base has no neurons at a site, infinity stands for new ones, and ``None`` for none. Sites that neither the
    base nor any member has are left out.

    Args:
        front: the members.
        base: neurons of the base by site.
    """
    relative: dict[str, list[float | None]] = {}
    for site, base_width in base.items():
        widths = [one.total_widths.get(site, 0) for one in front]
        if base_width or any(widths):
            relative[site] = [_ratio(width, base_width) for width in widths]
    return relative


def _ratio(width: int, base_width: int) -> float | None:
    if not base_width:
        return float("inf") if width else None
    return width / base_width


def widths_figure(front: Sequence[Record], base: Mapping[str, int]) -> Figure | None:
    """A heat map of sites by members, or ``None`` without a front."""
    members = [one for one in front if one.total_widths]
    relative = relative_widths(members, base)
    if not members or not relative:
        return None
    values = [[None if ratio is None else min(ratio, TOP) for ratio in row] for row in relative.values()]
    texts = [
        [_text(ratio, member.total_widths.get(site, 0)) for ratio, member in zip(row, members, strict=True)]
        for site, row in relative.items()
    ]
    label = "width of every site of the front's members, relative to the base"
    columns = [str(member.number) for member in members]
    return heat_map(label, columns, list(relative), values, texts, x_title="trial", colours=COLOURS, top=TOP)


def _text(ratio: float | None, neurons: int) -> str:
    if ratio is None:
        return ""
    return f"{neurons} new" if ratio == float("inf") else f"{ratio:.2g}"
