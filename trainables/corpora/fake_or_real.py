"""Fake-or-Real in its four variants, read from its folders: it has no protocols, and paths have only the class.

Source: Reimao and Tzerpos, "FoR: a dataset for synthetic speech detection", SpeD 2019.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.audio.files import is_audio_name, is_other_audio_name
from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, Utterance
from trainables.corpora.reading.listing import Listing
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "FakeOrReal"
ROOT = "the folder above for-norm (or for-original, for-2sec, for-rerec)"
VARIANTS: Mapping[str, str] = {
    "fake-or-real": "norm",
    "fake-or-real-original": "original",
    "fake-or-real-norm": "norm",
    "fake-or-real-2sec": "2sec",
    "fake-or-real-rerec": "rerec",
}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ("follow_links",)
FOLDERS = {
    "original": ("for-original",),
    "norm": ("for-norm", "for-normalized"),
    "2sec": ("for-2sec", "for-2seconds"),
    "rerec": ("for-rerec", "for-rerecorded"),
}
"""Names of the outer or the inner folder of a variant."""
_PARTS = {"train": "training", "dev": "validation", "eval": "testing"}
_CLASSES = (("real", BONA_FIDE, "-"), ("fake", SPOOF, "fake"))


def read(
    root: Path,
    *,
    variant: str = "norm",
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read one variant. Speakers are unknown (``-``), the attack of every spoof is ``fake``.

    An utterance is named by its path below the folder that holds ``training``, since file names repeat. Folders may be
    spelled in capitals; files may have any format that libsndfile decodes, and the others are counted as left out.

    Args:
        root: the folder above ``for-norm`` (or the variant's own folder), that folder, or the one inside it that holds
            ``training``, ``validation`` and ``testing``; inner folders go by several names.
        variant: ``original``, ``norm`` (sampling rate, volume and channels normalised), ``2sec`` (truncated to 2 s) or
            ``rerec`` (re-recorded).
        cache: folder; what was found out about files is kept there.
        splits: which are read; eval may be absent where others are asked for as well.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with unreadable or empty files.
        progress: called with the number of checked files.

    Returns:
        The corpus. Eval is ``()`` if there is no ``testing``: only export needs it.

    Raises:
        DropinError: a variant other than these.
        CorpusError: all faults of the corpus.
    """
    if variant not in FOLDERS:
        raise DropinError(f"variant must be one of {', '.join(FOLDERS)}; got {variant!r}")
    listing = Listing(f"fake-or-real-{variant}", Path(root).resolve(), cache=cache, follow_links=follow_links)
    inner = _find_inner(listing, variant)
    required: list[str] = []
    if inner is not None:
        required = [
            split for split in splits if split != "eval" or len(splits) == 1 or _child(inner, _PARTS[split]) is not None
        ]
        for split in required:
            _read_split(listing, inner, split)
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _find_inner(listing: Listing, variant: str) -> Path | None:
    """The folder with training, validation and testing."""
    root = listing.root
    if not listing.check_folder(root):
        return None
    others = {folder for other, folders in FOLDERS.items() if other != variant for folder in folders}
    if root.name.lower() in others:
        listing.fault(root, f"is not the variant {variant} ({FOLDERS[variant][0]})")
        return None
    outer = next(filter(None, (_child(root, folder) for folder in FOLDERS[variant])), root)
    # Archives made on macOS have a second tree, __MACOSX, with a "._" file for every file.
    children = sorted(
        child
        for child in outer.iterdir()
        if child.is_dir() and child.name.lower() not in others and not child.name.startswith((".", "__"))
    )
    found = [folder for folder in (outer, *children) if any(_child(folder, part) for part in _PARTS.values())]
    if len(found) == 1:
        listing.enter(found[0])
        return found[0]
    if found:
        listing.fault(
            outer, f"several folders have training; give one of {', '.join(one.name for one in found)} as root"
        )
    else:
        listing.fault(outer, f"neither it nor a folder in it has {', '.join(_PARTS.values())}")
    return None


def _child(folder: Path, name: str) -> Path | None:
    """The folder in another one of this name, in small letters or else in any; ``None`` where there is none."""
    if (folder / name).is_dir():
        return folder / name
    alike = (child for child in sorted(folder.iterdir()) if child.name.lower() == name and child.is_dir())
    return next(alike, None)


def _read_split(listing: Listing, inner: Path, split: str) -> None:
    part = _PARTS[split]
    above = _child(inner, part) or inner / part
    for kind, label, attack in _CLASSES:
        folder = (_child(above, kind) if above.is_dir() else None) or above / kind
        if not listing.check_folder(folder):
            continue
        left_out: Counter[str] = Counter()
        for file in sorted(os.listdir(folder)):
            if is_audio_name(file):
                listing.add(split, Utterance(f"{part}/{kind}/{file}", folder / file, label, "-", attack), folder / file)
            elif is_other_audio_name(file):
                suffix = os.path.splitext(file)[1].lower()
                left_out[suffix] += 1
                listing.leave_out(split, label, f"{suffix}, which libsndfile does not read")
        for suffix, number in left_out.items():
            listing.note(folder, f"files {suffix}: {number:,}, left out, since libsndfile does not read them")
