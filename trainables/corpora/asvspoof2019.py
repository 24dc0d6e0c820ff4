"""ASVspoof 2019 in its official folders: logical access (LA) and physical access (PA), read by the protocols.

Source: Wang et al., "ASVspoof 2019: a large-scale public database of synthesized, converted and replayed speech",
Computer Speech & Language 64, 2020, and the README files of the corpus.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, Utterance
from trainables.corpora.listing import OUTSIDE, Listing
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "ASVspoof 2019"
BUILT = False
VARIANTS: Mapping[str, str] = {"asvspoof2019-la": "LA", "asvspoof2019-pa": "PA"}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ("follow_links",)
COLUMNS = {"LA": "SPEAKER FILE - ATTACK KEY", "PA": "SPEAKER FILE ENVIRONMENT ATTACK KEY"}
LABELS = {"bonafide": BONA_FIDE, "spoof": SPOOF}
_LISTS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
_ENVIRONMENT = re.compile("[abc]{3}")
_REPLAY_ATTACK = re.compile("[ABC]{2}")


def read(
    root: Path | None,
    *,
    variant: str = "LA",
    cache: Path | None = None,
    name: str | None = None,
    note: str = "",
    splits: Sequence[str] = SPLITS,
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the official tree, or any corpus with the same folders.

    Args:
        root: the folder above ``LA`` (or ``PA``), or that folder itself.
        variant: ``LA`` or ``PA``.
        cache: folder; what was found out about files is kept there.
        name: name of the corpus, by default ``asvspoof2019-la`` or ``asvspoof2019-pa``.
        note: see `Corpus`.
        splits: which are read; eval may be absent where others are asked for as well.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Returns:
        The corpus. Eval is ``()`` if the tree has neither its protocol nor its folder: only export needs it.

    Raises:
        DropinError: no root given, or a variant other than these.
        CorpusError: all faults of the tree, each with file and line.
    """
    if variant not in COLUMNS:
        raise DropinError(f"variant must be one of {', '.join(COLUMNS)}; got {variant!r}")
    if root is None:
        raise DropinError(
            f"ASVspoof 2019 must be given with its root, the folder above {variant}; download it from its organisers"
        )
    root = Path(root).resolve()
    listing = Listing(name or f"asvspoof2019-{variant.lower()}", root, cache=cache, follow_links=follow_links)
    tree = _find_tree(listing, variant)
    listed: list[str] = []
    scores: dict[str, Path] = {}
    if tree is not None:
        wanted = [split for split in splits if split != "eval" or len(splits) == 1 or _has_split(tree, variant, split)]
        listed = [split for split in wanted if _read_split(listing, tree, variant, split)]
        scores = _asv_scores(listing, tree, variant)
    return listing.corpus(
        required=listed, asv_scores=scores, note=note, skip_bad_files=skip_bad_files, progress=progress
    )


def protocol(tree: Path, variant: str, split: str) -> Path:
    """The protocol of a split, below the folder ``LA`` or ``PA``."""
    return tree / f"ASVspoof2019_{variant}_cm_protocols" / f"ASVspoof2019.{variant}.cm.{_LISTS[split]}.txt"


def audio_folder(tree: Path, variant: str, split: str) -> Path:
    """The audio folder of a split, below the folder ``LA`` or ``PA``."""
    return tree / f"ASVspoof2019_{variant}_{split}" / "flac"


def _find_tree(listing: Listing, variant: str) -> Path | None:
    root = listing.root
    if not listing.check_folder(root):
        return None
    for tree in (root / variant, root):
        if (tree / f"ASVspoof2019_{variant}_cm_protocols").is_dir() or _has_split(tree, variant, "train"):
            return tree
    listing.fault(root, f"neither it nor its {variant} has ASVspoof2019_{variant}_cm_protocols")
    return None


def _has_split(tree: Path, variant: str, split: str) -> bool:
    return protocol(tree, variant, split).exists() or audio_folder(tree, variant, split).parent.exists()


def _read_split(listing: Listing, tree: Path, variant: str, split: str) -> bool:
    """Add the utterances of a split; ``False`` if it has no readable protocol."""
    folder = audio_folder(tree, variant, split)
    # Listing the folder once is much faster than a stat of each of 70,000 files.
    present = frozenset(os.listdir(folder)) if listing.check_folder(folder) else frozenset()
    path = protocol(tree, variant, split)
    text = listing.read_text(path)
    if text is None:
        return False
    # Line numbers as in an editor; splitlines() also breaks at other characters.
    for number, line in enumerate(text.split("\n"), 1):
        columns = line.split()
        if not columns:
            continue
        faults = _line_faults(columns, variant)
        for fault in faults:
            listing.fault(path, fault, number)
        if not faults:
            speaker, name, _, attack, key = columns
            wav = f"{name}.flac" not in present and f"{name}.wav" in present
            audio = folder / f"{name}{'.wav' if wav else '.flac'}"
            listing.add(split, Utterance(name, audio, LABELS[key], speaker, attack), path, number)
    return True


def _line_faults(columns: list[str], variant: str) -> list[str]:
    if len(columns) != 5:
        return [f"{len(columns)} columns; must be 5: {COLUMNS[variant]}"]
    _, name, environment, attack, key = columns
    faults = []
    if key not in LABELS:
        faults.append(f"key must be bonafide or spoof; got {key!r}")
    elif (attack == "-") != (key == "bonafide"):
        faults.append(f"attack must be - for bonafide and a name for spoof; got {attack!r} with {key}")
    elif variant == "PA" and attack != "-" and not _REPLAY_ATTACK.fullmatch(attack):
        faults.append(f"attack must be AA to CC; got {attack!r}")
    if variant == "PA" and not _ENVIRONMENT.fullmatch(environment):
        faults.append(f"environment must be aaa to ccc; got {environment!r}")
    if name in (".", "..") or any(character in name for character in "/\\\0"):
        faults.append(f"file must be a name without a path; got {name!r}")
    return faults


def _asv_scores(listing: Listing, tree: Path, variant: str) -> dict[str, Path]:
    folder = tree / f"ASVspoof2019_{variant}_asv_scores"
    paths = {split: folder / f"ASVspoof2019.{variant}.asv.{split}.gi.trl.scores.txt" for split in ("dev", "eval")}
    existing = {split: path for split, path in paths.items() if path.is_file()}
    for path in existing.values():
        if not listing.contains(path):
            listing.fault(path, OUTSIDE)
    return existing
