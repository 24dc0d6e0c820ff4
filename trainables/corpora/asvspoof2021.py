"""ASVspoof 2021, logical access (LA) and deepfake (DF): evaluation sets, with the keys that came after the challenge.

Source: Liu et al., "ASVspoof 2021: towards spoofed and deepfake speech detection in the wild", IEEE/ACM TASLP 31, 2023,
and the organisers' evaluation package, which names the columns of ``trial_metadata.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.reading.eval_only import asked_for_eval
from trainables.corpora.reading.file_checks import OUTSIDE
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.trial_lists import Layout, add_trials, existing
from trainables.errors import DropinError
from trainables.metrics.asv_scores import SCORES_2021
from trainables.progress import Progress, silent

WORDS = "ASVspoof 2021"
ROOT = "the folder above ASVspoof2021_LA_eval (or ASVspoof2021_DF_eval...) and keys"
VARIANTS: Mapping[str, str] = {"asvspoof2021-la": "LA", "asvspoof2021-df": "DF"}
FALLBACK = None
EVAL_ONLY = True
OPTIONS: tuple[str, ...] = ("subset", "follow_links")
SUBSETS = {"eval": "eval", "progress": "progress", "hidden": "hidden", "hidden_track": "hidden"}
"""Subsets by the words of the lists; the first keys that were published (stage 1) say ``hidden_track``."""
_DF: Layout = ("speaker", "file", "compression", "source", "attack", "key", "trim", "subset")
LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "LA": (("speaker", "file", "codec", "transmission", "attack", "key", "trim", "subset"),),
    "DF": ((*_DF, "vocoder", "task", "team", "gender_pair", "language"), _DF),
}
"""Columns of the lists; the shorter one of DF is that of stage 1."""


def read(
    root: Path,
    *,
    variant: str = "LA",
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    subset: str = "",
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the keys, and the audio of the subset that is asked for.

    All utterances are in the split eval. Conditions of LA: codec, transmission, trim, subset; of DF: compression,
    source, trim, subset, and with the full keys vocoder, task, team, gender_pair and language. The organisers' scores
    of speaker verification are those of LA, ``keys/LA/ASV``, if they are there.

    Args:
        root: folder that holds the audio (``ASVspoof2021_LA_eval``; for DF that folder, or ``..._part00`` to
            ``..._part03``) and the keys (``keys``, or the folder ``LA-keys-full`` that they are packed in), or the
            audio's folder with the keys in it.
        variant: ``LA`` or ``DF``.
        cache: folder; what was found out about files is kept there.
        splits: must have eval.
        subset: ``eval``, which is also the empty text, ``progress``, ``hidden`` or ``all``.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Raises:
        DropinError: a variant or a subset other than these.
        CorpusError: all faults of the corpus, each with file and line.
    """
    if variant not in LAYOUTS:
        raise DropinError(f"variant must be one of {', '.join(LAYOUTS)}; got {variant!r}")
    known = (*dict.fromkeys(SUBSETS.values()), "all")
    if subset and subset not in known:
        raise DropinError(f"subset must be one of {', '.join(known)}; got {subset!r}")
    listing = Listing(f"asvspoof2021-{variant.lower()}", Path(root).resolve(), cache=cache, follow_links=follow_links)
    required, scores = [], {}
    if asked_for_eval(listing, splits) and listing.check_folder(listing.root):
        keys, audio = _keys(listing, variant), _audio(listing, variant)
        if keys is not None and audio:
            layouts = LAYOUTS[variant]
            read = add_trials(listing, "eval", keys, layouts, audio, subsets=SUBSETS, subset=subset or "eval")
            required = ["eval"] if read else []
            scores = _asv_scores(listing, keys)
    return listing.corpus(required=required, asv_scores=scores, skip_bad_files=skip_bad_files, progress=progress)


def _keys(listing: Listing, variant: str) -> Path | None:
    """The list with the keys: the full one rather than that of stage 1, which does not name its track."""
    packed = f"{variant}-keys-full", f"{variant}-keys-stage-1", "."
    tracks = f"keys/{variant}/CM", f"{variant}/CM", "keys/CM"
    for track in tracks:
        for base in (listing.root, listing.root / f"ASVspoof2021_{variant}_eval"):
            for folder in packed:
                path = base / folder / track / "trial_metadata.txt"
                if path.exists():
                    return path
    listing.fault(
        listing.root,
        f"has no keys/{variant}/CM/trial_metadata.txt: unpack {variant}-keys-full.tar.gz of the organisers there",
    )
    return None


def _asv_scores(listing: Listing, keys: Path) -> dict[str, Path]:
    """The scores of speaker verification beside the keys; LA has some, DF has none."""
    path = keys.parent.parent / "ASV" / "ASVtorch_kaldi" / SCORES_2021
    if not path.is_file():
        return {}
    listing.enter(path.parent)
    if not listing.contains(path):
        listing.fault(path, OUTSIDE)
    return {"eval": path}


def _audio(listing: Listing, variant: str) -> list[Path]:
    name = f"ASVspoof2021_{variant}_eval"
    bases = (listing.root, *sorted(listing.root.glob(f"{name}*")))
    found = existing(base / inner / kind for base in bases for inner in (name, ".") for kind in ("flac", "wav"))
    if not found:
        parts = f" or {name}_part00/{name}/flac" if variant == "DF" else ""
        listing.fault(listing.root, f"has no {name}/flac{parts}: unpack the audio of the organisers there")
    return found
