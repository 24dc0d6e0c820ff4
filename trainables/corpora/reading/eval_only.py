"""What readers of corpora share that have no train split."""

from __future__ import annotations

from collections.abc import Sequence

from trainables.corpora.reading.listing import Listing


def asked_for_eval(listing: Listing, splits: Sequence[str]) -> bool:
    """Whether eval is among the splits that are asked for; otherwise there is nothing to read, which is a fault."""
    if "eval" in splits:
        return True
    listing.fault(listing.root, f"has no {' and no '.join(splits)}, only eval: evaluate on that (--split eval)")
    return False
