"""Splits that are made for a manifest: what the user is told of them, and the table that keeps them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trainables.corpora.corpus import SPLITS, Utterance
from trainables.corpora.manifest.made_splits import MadeSplits, make_splits
from trainables.errors import into_cache


def split_utterances(
    utterances: Sequence[Utterance], shares: Sequence[float], seed: int, cache: Path | None
) -> tuple[list[str], list[str]]:
    """Make splits, see `made_splits`, and write them into the cache as a table with name, label, speaker and attack.

    Returns:
        The splits in the order of the utterances, and what the user is told of them.

    Raises:
        DropinError: there is no space in the cache, or it cannot be written.
    """
    made = make_splits(utterances, shares, seed)
    notes = [_told(utterances, made, shares, seed)]
    if cache is not None:
        notes.append(f"the splits are kept in {_written(utterances, made, shares, seed, cache)}")
    return list(made.split), notes


def _told(utterances: Sequence[Utterance], made: MadeSplits, shares: Sequence[float], seed: int) -> str:
    counts = Counter((split, one.label) for split, one in zip(made.split, utterances, strict=True))
    parts = [f"{split} {counts[split, 1]} bona fide and {counts[split, 0]} spoof" for split in SPLITS]
    given = ",".join(f"{share:g}" for share in shares)
    how = f"no column split; splits are made (--split-shares {given}, --split-seed {seed}): {', '.join(parts)}; "
    if made.by_speaker:
        alone = f", and {made.unknown} utterances without a speaker are split one by one" if made.unknown else ""
        return f"{how}none of the {made.speakers} speakers is in two of them{alone}"
    if not made.speakers:
        return f"{how}speakers are unknown, so one may be in several of them: EERs may be too low"
    return (
        f"{how}{made.speakers} speakers are too few to keep each in one split with both classes, so that they are in "
        "several of them: EERs may be too low"
    )


def _written(
    utterances: Sequence[Utterance], made: MadeSplits, shares: Sequence[float], seed: int, cache: Path
) -> Path:
    """The file with the splits; its name is a digest of all that they depend on."""
    import pyarrow as pa  # slow imports that no other corpus needs
    import pyarrow.parquet as pq

    columns = {
        "name": [one.name for one in utterances],
        "split": list(made.split),
        "label": [("spoof", "bonafide")[one.label] for one in utterances],
        "speaker": [one.speaker for one in utterances],
        "attack": [one.attack for one in utterances],
    }
    text = json.dumps([list(shares), seed, columns], sort_keys=True)
    path = cache / "splits" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"
    if path.exists():
        return path
    with into_cache(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            pq.write_table(pa.table(columns), Path(folder) / path.name)
            os.replace(Path(folder) / path.name, path)
    return path
