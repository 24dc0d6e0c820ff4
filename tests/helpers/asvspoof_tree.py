"""A small official tree with silence in its files, and changes to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from trainables.corpora.corpus import Corpus

LISTS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
PLAIN = {
    "LA": ["LA_0001 LA_{0}_1 - - bonafide", "LA_0002 LA_{0}_2 - A01 spoof"],
    "PA": ["PA_0001 PA_{0}_1 aaa - bonafide", "PA_0002 PA_{0}_2 cba BC spoof"],
}
PROTOCOLS = "ASVspoof2019_LA_cm_protocols"
TRAIN = f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.train.trn.txt"


def make_tree(
    root: Path,
    variant: str = "LA",
    splits: Sequence[str] = ("train", "dev", "eval"),
    lines: Sequence[str] | None = None,
    suffix: str = "flac",
) -> Path:
    """Write a tree with the same protocol lines in every split ({0} = T, D or E) and silence in every file."""
    tree = root / variant
    (tree / f"ASVspoof2019_{variant}_cm_protocols").mkdir(parents=True)
    for split in splits:
        folder = tree / f"ASVspoof2019_{variant}_{split}" / "flac"
        folder.mkdir(parents=True)
        written = [line.format(split[0].upper()) for line in (lines or PLAIN[variant])]
        list_of(tree, split, variant).write_text("".join(f"{line}\n" for line in written))
        for line in written:
            soundfile.write(folder / f"{line.split()[1]}.{suffix}", np.zeros(160), 16000)
    return root


def list_of(tree: Path, split: str, variant: str = "LA") -> Path:
    return tree / f"ASVspoof2019_{variant}_cm_protocols" / f"ASVspoof2019.{variant}.cm.{LISTS[split]}.txt"


def append(path: Path, text: str | bytes) -> None:
    path.write_bytes(path.read_bytes() + (text.encode() if isinstance(text, str) else text))


def counts(corpus: Corpus) -> dict[str, tuple[int, int]]:
    labels = {split: [one.label for one in utterances] for split, utterances in corpus.splits.items()}
    return {split: (sum(ones), len(ones) - sum(ones)) for split, ones in labels.items()}
