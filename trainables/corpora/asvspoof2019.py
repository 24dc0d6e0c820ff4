"""ASVspoof 2019 in its official folders: logical access (LA) and physical access (PA), read by the protocols.

Source: Wang et al., "ASVspoof 2019: a large-scale public database of synthesized, converted and replayed speech",
Computer Speech & Language 64, 2020, and the README files of the corpus.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.audio.files import AudioFolder, is_audio_name
from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, Utterance
from trainables.corpora.reading.file_checks import OUTSIDE
from trainables.corpora.reading.listing import Listing
from trainables.corpora.reading.protocols import UNKNOWN_ATTACK, Words, protocol_lines
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "ASVspoof 2019"
ROOT = "the folder above LA or PA, as its organisers ship them"
VARIANTS: Mapping[str, str] = {"asvspoof2019-la": "LA", "asvspoof2019-pa": "PA"}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ("follow_links",)
COLUMNS = {"LA": "SPEAKER FILE - ATTACK KEY", "PA": "SPEAKER FILE ENVIRONMENT ATTACK KEY"}
_LISTS = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
_OTHER_CORPORA = {
    "asvspoof2021-la": "ASVspoof2021_LA*",
    "asvspoof2021-df": "ASVspoof2021_DF*",
    "asvspoof5": "ASVspoof5*.tsv",
}
"""What is in the folders of other challenges, by the corpus option that reads them."""
_ENVIRONMENT = re.compile("[abc]{3}")
_REPLAY_ATTACK = re.compile("[ABC]{2}")


def read(
    root: Path,
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

    What people's copies have is read and noted: keys of other words, file names with a suffix or a folder, other audio
    than FLAC, spoofs without an attack, columns between commas, a header.

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
        DropinError: a variant other than these.
        CorpusError: all faults of the tree, each with file and line.
    """
    if variant not in COLUMNS:
        raise DropinError(f"variant must be one of {', '.join(COLUMNS)}; got {variant!r}")
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
            listing.enter(tree)
            return tree
    other = next((name for name, place in _OTHER_CORPORA.items() if any(root.glob(place))), None)
    hint = "" if other is None else f"; it looks like another corpus: read it by --corpus {other}"
    listing.fault(root, f"neither it nor its {variant} has ASVspoof2019_{variant}_cm_protocols{hint}")
    return None


def _has_split(tree: Path, variant: str, split: str) -> bool:
    return protocol(tree, variant, split).exists() or audio_folder(tree, variant, split).parent.exists()


def _read_split(listing: Listing, tree: Path, variant: str, split: str) -> bool:
    """Add the utterances of a split; ``False`` if it has no readable protocol."""
    folder = _existing_folder(listing, audio_folder(tree, variant, split))
    files = AudioFolder(folder, readable=listing.check_folder(folder))
    path = protocol(tree, variant, split)
    lines = protocol_lines(listing, path, COLUMNS[variant])
    if lines is None:
        return False
    words = Words()
    for number, (speaker, file, environment, attack, key) in lines:
        name, label = words.name(file), words.label(key)
        if label == SPOOF and attack == "-":
            attack = UNKNOWN_ATTACK
            words.unknown_attacks += 1
        faults = [*_attack_faults(variant, label, key, attack), *_place_faults(variant, environment, name, file)]
        for fault in faults:
            listing.fault(path, fault, number)
        if name is not None and label is not None and not faults:
            listing.add(split, Utterance(name, files.find(name), label, speaker, attack), path, number)
    words.note(listing, path)
    if files.others:
        listing.note(folder, f"audio files that the protocol does not list: {files.others:,}, not read")
    return True


def _existing_folder(listing: Listing, folder: Path) -> Path:
    """The audio folder of a split, whose files may also be in a folder ``wav`` or in the split's own folder."""
    if folder.is_dir() or not folder.parent.is_dir():
        return folder
    names = sorted(os.listdir(folder.parent))
    found = [folder.parent / name for name in names if name.lower() in ("flac", "wav")]
    if not found and any(map(is_audio_name, names)):
        found = [folder.parent]
    if not found:
        return folder
    listing.note(found[0], f"read instead of {folder.name}, which is not there")
    return found[0]


def _attack_faults(variant: str, label: int | None, key: str, attack: str) -> list[str]:
    if label is None:
        return [f"key must be bonafide or spoof; got {key!r}"]
    if label == BONA_FIDE and attack != "-":
        return [f"attack must be - for bonafide; got {attack!r} with {key}"]
    if variant == "PA" and attack not in ("-", UNKNOWN_ATTACK) and not _REPLAY_ATTACK.fullmatch(attack):
        return [f"attack must be AA to CC; got {attack!r}"]
    return []


def _place_faults(variant: str, environment: str, name: str | None, file: str) -> list[str]:
    faults = []
    if variant == "PA" and not _ENVIRONMENT.fullmatch(environment):
        faults.append(f"environment must be aaa to ccc; got {environment!r}")
    if name is None:
        faults.append(f"file must be a name without a path; got {file!r}")
    return faults


def _asv_scores(listing: Listing, tree: Path, variant: str) -> dict[str, Path]:
    folder = tree / f"ASVspoof2019_{variant}_asv_scores"
    paths = {split: folder / f"ASVspoof2019.{variant}.asv.{split}.gi.trl.scores.txt" for split in ("dev", "eval")}
    existing = {split: path for split, path in paths.items() if path.is_file()}
    if existing:
        listing.enter(folder)
    for path in existing.values():
        if not listing.contains(path):
            listing.fault(path, OUTSIDE)
    return existing
