"""WaveFake: LJSpeech and JSUT, and the same sentences through neural vocoders. Its folders say what a file is.

Source: Frank and Schönherr, "WaveFake: a data set to facilitate audio deepfake detection", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainables.corpora.corpus import BONA_FIDE, SPLITS, SPOOF, Corpus, Utterance
from trainables.corpora.reading.audio_trees import audio_below
from trainables.corpora.reading.eval_only import asked_for_eval
from trainables.corpora.reading.listing import Listing
from trainables.progress import Progress, silent

WORDS = "WaveFake"
ROOT = "the folder above generated_audio"
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = True
OPTIONS: tuple[str, ...] = ("bonafide_root", "follow_links")
SOURCES = {"ljspeech": ("en", Path("LJSpeech-1.1/wavs")), "jsut": ("ja", Path("jsut_ver1.1/basic5000/wav"))}
"""Language, and folder of the bona fide speech, of each corpus that was vocoded. Each has one speaker."""


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
    """Read the folders of ``generated_audio``, and the corpora that they were made of.

    All utterances are in the split eval. The attack is the name of the folder (``ljspeech_melgan``); conditions are
    source (``ljspeech`` or ``jsut``), language and vocoder (``melgan``; ``-`` for bona fide).

    Args:
        root: the folder above ``generated_audio``, or that folder.
        cache: folder; what was found out about files is kept there.
        splits: must have eval.
        bonafide_root: the folder above ``LJSpeech-1.1`` and ``jsut_ver1.1``, by default `root`.
        follow_links: see `options.CorpusOptions`.
        skip_bad_files: leave out up to 1 % of the utterances, those with unreadable or empty files.
        progress: called with the number of checked files.

    Raises:
        CorpusError: all faults of the corpus, among them that a source of vocoded speech has no bona fide speech.
    """
    here = Path(root).resolve()
    bonafide = here if bonafide_root is None else Path(bonafide_root).resolve()
    listing = Listing("wavefake", here, cache=cache, follow_links=follow_links)
    required = []
    if asked_for_eval(listing, splits) and listing.check_folder(here):
        generated = here / "generated_audio" if (here / "generated_audio").is_dir() else here
        sources = _add_spoofs(listing, generated)
        for source in sources:
            _add_bona_fide(listing, bonafide, source)
        required = ["eval"] if sources else []
    return listing.corpus(required=required, skip_bad_files=skip_bad_files, progress=progress)


def _add_spoofs(listing: Listing, generated: Path) -> list[str]:
    """Add the vocoded speech, and say of which sources there is some."""
    found: dict[str, None] = {}
    for folder in sorted(one for one in generated.iterdir() if one.is_dir()):
        source = next((name for name in SOURCES if name in folder.name), None)
        if source is None or folder.name in ("LJSpeech-1.1", "jsut_ver1.1"):
            continue
        found[source] = None
        vocoder = folder.name.removeprefix(f"{source}_")
        conditions = {"source": source, "language": SOURCES[source][0], "vocoder": vocoder}
        files = list(audio_below(listing, folder))
        # The folder of the TTS pipeline has a second copy of all its files in a folder within.
        direct = [path for path in files if path.parent == folder]
        for path in direct or files:
            name = str(path.relative_to(generated))
            listing.add("eval", Utterance(name, path, SPOOF, source, folder.name, conditions), path)
    if not found:
        listing.fault(generated, f"has no folder with {' or '.join(SOURCES)} in its name, such as ljspeech_melgan")
    return list(found)


def _add_bona_fide(listing: Listing, root: Path, source: str) -> None:
    language, inner = SOURCES[source]
    folder = root / inner
    if not folder.is_dir():
        listing.fault(
            folder,
            f"no such folder: put the bona fide speech of {source} there, name another place by --bonafide-root, or "
            f"take the folders {source}_... away",
        )
        return
    conditions = {"source": source, "language": language, "vocoder": "-"}
    for path in audio_below(listing, folder):
        name = str(path.relative_to(root))
        listing.add("eval", Utterance(name, path, BONA_FIDE, source, "-", conditions), path)
