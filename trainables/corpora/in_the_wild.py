"""In-the-Wild: recordings of public persons and deepfakes of them, found on the internet.

Source: Müller et al., "Does audio deepfake detection generalize?", Interspeech 2022. It has no splits and does not name
attacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import BONA_FIDE, SPLITS, Corpus, Utterance
from trainables.corpora.reading.eval_only import asked_for_eval
from trainables.corpora.reading.labels import read_label
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.protocols import UNKNOWN_ATTACK
from trainables.corpora.reading.tables import read_table
from trainables.progress import Progress, silent

WORDS = "In-the-Wild"
ROOT = "the folder release_in_the_wild"
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = True
OPTIONS: tuple[str, ...] = ("follow_links",)
COLUMNS = ("file", "speaker", "label")


def read(
    root: Path,
    *,
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read ``meta.csv`` and the files beside it; all utterances are in the split eval.

    Args:
        root: ``release_in_the_wild``, or the folder above it.
        cache: folder; what was found out about files is kept there.
        splits: must have eval.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Raises:
        CorpusError: all faults of the corpus, each with file and line.
    """
    listing = Listing("in-the-wild", Path(root).resolve(), cache=cache, follow_links=follow_links)
    required = []
    if asked_for_eval(listing, splits) and listing.check_folder(listing.root):
        inner = listing.root / "release_in_the_wild"
        folder = inner if inner.is_dir() else listing.root
        if listing.check_folder(folder) and _add_rows(listing, folder):
            required = ["eval"]
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _add_rows(listing: Listing, folder: Path) -> bool:
    path = folder / "meta.csv"
    table = read_table(listing, path)
    if table is None:
        return False
    if missing := [name for name in COLUMNS if name not in table.columns]:
        listing.fault(path, f"must have the columns {', '.join(COLUMNS)}; it has no {', '.join(missing)}", 1)
        return False
    places = [table.columns.index(name) for name in COLUMNS]
    for number, row in table.rows:
        name, speaker, word = (row[place] for place in places)
        label = read_label(word)
        if label is None:
            listing.fault(path, f"label must be bona-fide or spoof; got {word!r}", number)
        elif not name or name in (".", "..") or "/" in name or "\\" in name:
            listing.fault(path, f"file must be a name without a path; got {name!r}", number)
        else:
            attack = "-" if label == BONA_FIDE else UNKNOWN_ATTACK
            listing.add("eval", Utterance(name, folder / name, label, speaker or "-", attack), path, number)
    return True
