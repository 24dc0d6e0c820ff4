"""Simulated speech in the ASVspoof 2019 LA tree, built in seconds: for tests, or where there is no real speech.

Bona fide utterances are speech of `voice`, spoofs the same with an attack of `vocoding`. Train and dev share speakers
and attacks, eval has other speakers and unseen attacks. All utterances go through the same random channel (tilt, noise,
level), so that neither level nor noise reveals the class.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from trainables.audio.reading import write_flac
from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import SPLITS, Corpus, CorpusError
from trainables.corpora.synthetic.vocoding import KNOWN, UNSEEN
from trainables.corpora.synthetic.voice import Voice, render, speak
from trainables.errors import DropinError
from trainables.progress import Progress, silent

WORDS = "simulated speech"
ROOT = None
VARIANTS: Mapping[str, str] = {}
FALLBACK = None
EVAL_ONLY = False
OPTIONS: tuple[str, ...] = ()
NOTE = f"{WORDS}, made for tests and as a last resort: results on it say nothing about real deepfakes"
UTTERANCES: Mapping[str, int] = {"train": 120, "dev": 80, "eval": 80}
_SPEAKERS = {"train": 12, "dev": 12, "eval": 6}
_BONA_FIDE = 0.4
# Part of the digest: raise it when the same settings give other audio.
_VERSION = 1


def read(
    root: Path | None = None,
    *,
    cache: Path,
    utterances: Mapping[str, int] = UTTERANCES,
    seed: int = 0,
    splits: Sequence[str] = SPLITS,
    skip_bad_files: bool = False,
    progress: Progress = silent,
) -> Corpus:
    """Read the simulated corpus; it is built below `cache` first if it does not exist.

    Args:
        root: must be ``None``.
        cache: folder; the corpus goes into ``corpora/synthetic-<digest of settings>``.
        utterances: see `write`.
        seed: see `write`.
        splits: see `asvspoof2019.read`.
        skip_bad_files: see `asvspoof2019.read`.
        progress: called with the number of generated utterances and of checked files.

    Raises:
        DropinError: utterances that `write` refuses.
        CorpusError: the corpus in the cache is damaged.
    """
    settings = {"utterances": dict(utterances), "seed": seed, "version": _VERSION}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(cache).resolve() / "corpora" / f"synthetic-{digest}"
    if not folder.exists():
        write(folder, utterances=utterances, seed=seed, progress=progress)
    try:
        return asvspoof2019.read(
            folder,
            name="synthetic",
            note=NOTE,
            splits=splits,
            cache=cache,
            skip_bad_files=skip_bad_files,
            progress=progress,
        )
    except CorpusError as error:
        raise CorpusError(f"{error.args[0]}; delete that folder to build it again", error.faults) from error


def write(
    folder: Path, *, utterances: Mapping[str, int] = UTTERANCES, seed: int = 0, progress: Progress = silent
) -> None:
    """Write a simulated corpus as 16 kHz FLAC in the LA tree, atomically.

    Args:
        folder: where to; must not exist.
        utterances: number of utterances of train, dev and eval, each at least 5; two fifths are bona fide.
        seed: of all random numbers; an utterance does not depend on the number of utterances.
        progress: called with the number of generated utterances.

    Raises:
        DropinError: the folder exists, or `utterances` has other splits or numbers.
    """
    folder = Path(folder).resolve()
    if folder.exists():
        raise DropinError(f"folder of a new corpus must not exist yet; {folder} does, delete it or choose another")
    if set(utterances) != set(SPLITS) or min(utterances.values()) < 5:
        raise DropinError(f"utterances must give at least 5 for each of {', '.join(SPLITS)}; got {dict(utterances)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as scratch:
        root = Path(scratch) / "corpus"
        done = 0
        for split in SPLITS:
            audio = asvspoof2019.audio_folder(root / "LA", "LA", split)
            audio.mkdir(parents=True)
            lines = []
            for number in range(utterances[split]):
                name, line, samples = _utterance(split, number, seed)
                write_flac(audio / f"{name}.flac", samples)
                lines.append(line)
                done += 1
                progress("simulating speech", done, sum(utterances.values()))
            protocol = asvspoof2019.protocol(root / "LA", "LA", split)
            protocol.parent.mkdir(exist_ok=True)
            protocol.write_text("".join(lines))
        try:
            os.replace(root, folder)
        except OSError:
            # Another process was faster, and has written the same files.
            if not folder.is_dir():
                raise


def _utterance(split: str, number: int, seed: int) -> tuple[str, str, np.ndarray]:
    """Name, line of the protocol and samples of one utterance."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    attacks = UNSEEN if split == "eval" else KNOWN
    # Two of every five utterances are bona fide; the attacks alternate among the others.
    position = "b01b2"[number % 5]
    bona_fide = position == "b"
    attack = "-" if bona_fide else list(attacks)[(number // 5 * 3 + int(position)) % len(attacks)]
    speaker = int(rng.integers(_SPEAKERS[split])) + (100 if split == "eval" else 0)
    voice = Voice.draw(np.random.default_rng([seed, 1000 + speaker]))
    contours = speak(voice, rng.uniform(1.5, 4.0), rng)
    make = render if bona_fide else attacks[attack]
    name = f"LA_{split[0].upper()}_{1000000 + number}"
    line = f"LA_{speaker:04d} {name} - {attack} {'bonafide' if bona_fide else 'spoof'}\n"
    return name, line, _channel(make(contours, voice, rng), rng)


def _channel(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A microphone's tilt, noise 40 to 50 dB below the speech, a level of -29 to -23 dB."""
    audio = lfilter([1, -rng.uniform(0.3, 0.5)], 1, audio)
    audio = audio / np.sqrt(np.mean(audio**2))
    noise = lfilter([1], [1, -rng.uniform(0.3, 0.5)], rng.standard_normal(len(audio)))
    audio = audio + noise / np.sqrt(np.mean(noise**2)) * 10 ** (-rng.uniform(40, 50) / 20)
    audio = audio * 10 ** (rng.uniform(-29, -23) / 20)
    return np.clip(audio, -1, 1).astype(np.float32)
