"""Where neurons went: the width of every site of the front's members, as a share of the base's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.page.figure import Figure, heat_map
from search.runs.record import Record

COLOURS = ((0.0, "--removed"), (0.5, "--unchanged"), (1.0, "--grown"))
TWICE = 2.0
"""The colours end here: wider sites, and those that the base has not, look like this."""


def shares(front: Sequence[Record], base: Mapping[str, int]) -> dict[str, list[float | None]]:
    """For every site the share of each member: 0 is removed, 1 as in the base, above 1 grown.

    Where the base has no neurons there is no share: infinity for new ones, ``None`` where there are none either. Sites
    that neither the base nor any member has are left out.

    Args:
        front: the members.
        base: neurons of the base by site.
    """
    found: dict[str, list[float | None]] = {}
    for site, width in base.items():
        widths = [one.total_widths.get(site, 0) for one in front]
        if width or any(widths):
            found[site] = [_share(now, width) for now in widths]
    return found


def _share(now: int, before: int) -> float | None:
    if not before:
        return float("inf") if now else None
    return now / before


def places_figure(front: Sequence[Record], base: Mapping[str, int]) -> Figure | None:
    """Sites by members; nothing without a front."""
    known = [one for one in front if one.total_widths]
    found = shares(known, base)
    if not known or not found:
        return None
    values = [[None if one is None else min(one, TWICE) for one in row] for row in found.values()]
    texts = [
        [_text(share, member.total_widths.get(site, 0)) for share, member in zip(row, known, strict=True)]
        for site, row in found.items()
    ]
    label = "neurons of every site of the members of the front, as a share of the base's"
    columns = [str(member.number) for member in known]
    return heat_map(label, columns, list(found), values, texts, across="trial", colours=COLOURS, top=TWICE)


def _text(share: float | None, neurons: int) -> str:
    if share is None:
        return ""
    return f"{neurons} new" if share == float("inf") else f"{share:.2g}"
