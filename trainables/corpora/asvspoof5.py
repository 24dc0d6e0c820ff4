"""ASVspoof 5, track 1 (detection without speaker verification): train, dev and eval by their lists.

Source: Wang et al., "ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial attacks at scale", ASVspoof
workshop 2024, and the README of the corpus, which names the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.trial_lists import Layout, add_trials, existing
from trainables.progress import Progress, silent

WORDS = "ASVspoof 5"
ROOT = "the folder with ASVspoof5.train.tsv and flac_T"
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ("follow_links",)
LISTS = {"train": "ASVspoof5.train.tsv", "dev": "ASVspoof5.dev.track_1.tsv", "eval": "ASVspoof5.eval.track_1.tsv"}
"""Lists by split; their columns are separated by blanks, whatever the suffix says."""
FOLDERS = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E_eval"}
# The seed of a codec is the name of the utterance that was coded: no condition, for it is another one in each line.
LAYOUT: Layout = ("speaker", "file", "gender", "codec", "codec_quality", "", "attack_tag", "attack", "key", "")


def read(
    root: Path,
    *,
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the lists of track 1. Conditions are gender, codec, codec_quality and attack_tag.

    Args:
        root: folder that holds the lists, or ``ASVspoof5_protocols`` with them, and ``flac_T``, ``flac_D`` and
            ``flac_E_eval``, or folders with these (``ASVspoof5_train/flac_T``).
        cache: folder; what was found out about files is kept there.
        splits: which are read; eval may be absent where others are asked for as well.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Returns:
        The corpus. Eval is ``()`` if the root has neither its list nor its folder.

    Raises:
        CorpusError: all faults of the corpus, each with file and line.
    """
    listing = Listing("asvspoof5", Path(root).resolve(), cache=cache, follow_links=follow_links)
    required = []
    if listing.check_folder(listing.root):
        for split in splits:
            path, folders = _list(listing.root, split), _folders(listing.root, split)
            if split == "eval" and len(splits) > 1 and not path.exists() and not folders:
                continue
            if not folders:
                listing.fault(listing.root, f"has no {FOLDERS[split]}: unpack the audio of the organisers there")
            elif add_trials(listing, split, path, (LAYOUT,), folders):
                required.append(split)
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _list(root: Path, split: str) -> Path:
    packed = root / "ASVspoof5_protocols" / LISTS[split]
    return packed if packed.exists() else root / LISTS[split]


def _folders(root: Path, split: str) -> list[Path]:
    name = FOLDERS[split]
    return existing([root / name, *sorted(root.glob(f"*/{name}"))])
