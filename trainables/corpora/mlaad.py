"""MLAAD: speech of more than a hundred TTS systems in dozens of languages; bona fide speech comes from M-AILABS.

Source: Müller et al., "MLAAD: the multi-language audio anti-spoofing dataset", IJCNN 2024. Its texts, and the bona fide
speech that its authors compare it with, are those of the M-AILABS speech dataset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.audio.files import is_audio_name
from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, Utterance
from trainables.corpora.reading.audio_trees import audio_below
from trainables.corpora.reading.eval_only import asked_for_eval
from trainables.corpora.reading.listing import Listing
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "MLAAD"
ROOT = "the folder above fake"
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = True
OPTIONS: tuple[str, ...] = ("bonafide_root", "follow_links")
_LOCALE = re.compile("([a-z]{2})_[A-Z]{2}")


def read(
    root: Path,
    *,
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    bonafide_root: Path | None = None,
    follow_links: bool = False,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the tables ``fake/LANGUAGE/SYSTEM/meta.csv``, and all audio below `bonafide_root`.

    All utterances are in the split eval. The attack is the system's ``model_name``, or its folder where the table has
    none. Conditions are language (``de``; that of M-AILABS' ``de_DE`` as well) and architecture (``-`` for bona fide).

    Args:
        root: the folder above ``fake``, or that folder.
        cache: folder; what was found out about files is kept there.
        splits: must have eval.
        bonafide_root: folder of bona fide speech, such as M-AILABS: ``de_DE/by_book/female/SPEAKER/BOOK/wavs/*.wav``.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with missing, unreadable or empty files.
        progress: called with the number of checked files.

    Raises:
        DropinError: no `bonafide_root` given.
        CorpusError: all faults of the corpus, each with file and line.
    """
    if bonafide_root is None:
        raise DropinError(
            "MLAAD has spoofs only, and must be given with a folder of bona fide speech, such as M-AILABS: add "
            "--bonafide-root DIR"
        )
    listing = Listing("mlaad", Path(root).resolve(), cache=cache, follow_links=follow_links)
    required = []
    if asked_for_eval(listing, splits) and listing.check_folder(listing.root):
        tables = _tables(listing)
        for table in tables:
            _add_spoofs(listing, table)
        _add_bona_fide(listing, Path(bonafide_root).resolve())
        required = ["eval"] if tables else []
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _tables(listing: Listing) -> list[Path]:
    root = listing.root
    bases = [root] if root.name == "fake" else [root / "fake", *sorted(root.glob("*/fake"))]
    fake = next((base for base in bases if base.is_dir()), None)
    if fake is None or not listing.check_folder(fake):
        listing.fault(root, "has no fake: give the folder above it as root")
        return []
    tables = []
    for language in sorted(one for one in fake.iterdir() if one.is_dir() and not one.name.startswith(".")):
        if not listing.check_folder(language):
            continue
        for system in sorted(one for one in language.iterdir() if one.is_dir() and not one.name.startswith(".")):
            if (system / "meta.csv").exists():
                tables.append(system / "meta.csv")
            else:
                listing.fault(system, "has no meta.csv")
    if not tables:
        listing.fault(fake, "has no LANGUAGE/SYSTEM/meta.csv")
    return tables


def _add_spoofs(listing: Listing, table: Path) -> None:
    """Add the rows of a table. It is no CSV: texts in the last columns have quotes and line ends of their own."""
    text = listing.read_text(table) if listing.check_folder(table.parent) else None
    if text is None:
        return
    header, *lines = text.split("\n")
    columns = header.strip().split("|")
    if "path" not in columns:
        listing.fault(table, f"the first line must name columns, path among them, with | between; got {header:.60}", 1)
        return
    above = table.parents[3]
    for number, line in enumerate(lines, 2):
        values = dict(zip(columns, map(str.strip, line.split("|")), strict=False))
        # Paths in the tables may name another folder than the one that they are in; only the file's name counts.
        file = values.get("path", "").replace("\\", "/").rpartition("/")[2]
        if not is_audio_name(file):
            if line.count("|") >= columns.index("path") + 1:
                listing.fault(table, f"path must name an audio file; got {values['path']!r}", number)
            continue  # a blank line, or one that goes on with a text
        path = table.parent / file
        conditions = {"language": table.parts[-3], "architecture": values.get("architecture") or "-"}
        attack = values.get("model_name") or table.parts[-2]
        spoof = Utterance(str(path.relative_to(above)), path, SPOOF, "-", attack, conditions)
        listing.add("eval", spoof, table, number)


def _add_bona_fide(listing: Listing, folder: Path) -> None:
    known: dict[str, Mapping[str, str]] = {}
    for path in audio_below(listing, folder):
        parts = path.relative_to(folder.parent).parts
        language = next((match[1] for part in parts if (match := _LOCALE.fullmatch(part))), "-")
        conditions = known.setdefault(language, {"language": language, "architecture": "-"})
        name = "/".join(("bonafide", *parts[1:]))
        listing.add("eval", Utterance(name, path, BONA_FIDE, _reader(parts), "-", conditions), path)


def _reader(parts: Sequence[str]) -> str:
    """The speaker in M-AILABS' ``by_book/female/SPEAKER/BOOK``; books in ``mix`` have several."""
    for gender in ("female", "male"):
        if gender in parts[:-2] and "by_book" in parts:
            return parts[parts.index(gender) + 1]
    return "-"
