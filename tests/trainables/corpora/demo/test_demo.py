"""The demo corpus without a network: a small build from made-up prompts, and machines that cannot build it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from trainables.audio.reading import SAMPLE_RATE
from trainables.corpora import demo
from trainables.corpora.corpus import SPLITS, Unavailable
from trainables.corpora.demo import build, channel, packages, recipe, speech
from trainables.corpora.reading import file_checks


def lay_prompts(root: Path, count: int) -> None:
    """A transcript and short buzzes, laid out as the packages lay out prompts."""
    words = ("".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}") for number in range(count))
    texts = {f"prompt-{word}": f"say {word}" for word in words} | {"vm-goodbye": "goodbye"}
    for language, group in speech.GROUPS.items():
        transcript, sound = (root / file for file in group.files)
        transcript.parent.mkdir(parents=True)
        transcript.write_bytes(gzip.compress("".join(f"{key}: {text}\n" for key, text in texts.items()).encode()))
        sound.parent.mkdir(parents=True)
        for number, key in enumerate(texts):
            rng = np.random.default_rng([number, len(language)])
            phase = np.cumsum(rng.uniform(80, 250) + np.zeros(SAMPLE_RATE)) / SAMPLE_RATE
            audio = 0.05 * ((phase % 1) - 0.5 + 0.1 * rng.standard_normal(SAMPLE_RATE))
            (sound.parent / f"{key}.g722").write_bytes(channel.encode_g722(audio))


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "INSTALLED", tmp_path / "bare")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(Unavailable, match=r"^asterisk-core-sounds-en cannot be downloaded without apt-get$"):
        demo.read(None, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache/corpora").glob("*.partial"))


class Stopped(Exception):
    """Stands for Ctrl-C."""


def test_small_build_is_broken_off_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_prompts(tmp_path / "machine", 40)
    monkeypatch.setattr(packages, "INSTALLED", tmp_path / "machine")
    monkeypatch.setattr(file_checks, "SETTLED_NS", 10**18)  # however slow the machine is, files count as just written
    monkeypatch.setattr(recipe, "BONA_FIDE", {"train": 8, "dev": 4, "eval": 2})
    monkeypatch.setattr(recipe, "SPOOFS", {"train": 12, "dev": 8, "eval": 4})
    monkeypatch.setattr(packages.Packages, "versions", lambda self, group: [f"{group.name}_1"])
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    monkeypatch.setattr(build, "workers", lambda: 1)
    cache = tmp_path / "cache"

    def stop(what: str, done: int, total: int) -> None:
        if what == "making speech" and done == 5:
            raise Stopped

    with pytest.raises(Stopped):
        demo.read(None, cache=cache, progress=stop)
    (work,) = (cache / "corpora").glob("*.partial")
    half = {path.name: path.stat().st_mtime_ns for path in work.rglob("*.flac")}
    assert 5 <= len(half) < 38

    corpus = demo.read(None, cache=cache)
    assert not work.exists()
    assert {split: len(corpus.splits[split]) for split in SPLITS} == {"train": 20, "dev": 12, "eval": 6}
    made = {path.name: path.stat().st_mtime_ns for path in corpus.root.rglob("*.flac")}
    assert half.items() <= made.items()
    assert not list(corpus.root.rglob("*.unfinished"))
    # Without programs the spoofs are those of signal processing, and the note says so.
    seen = {one.attack for split in ("train", "dev") for one in corpus.splits[split]}
    assert {"-", "A04", "A06"} <= seen <= {"-", "A03", "A04", "A06"}
    for attack in ("A01", "A02", "A05", "A07", "A11"):
        assert f"without {attack} " in corpus.note
    assert "flite cannot be downloaded without apt-get" in corpus.note
    assert len((corpus.root / build.SOURCES).read_text().splitlines()) == 38

    messages: list[str] = []

    def note(what: str, done: int, total: int) -> None:
        messages.append(what)

    assert demo.read(None, cache=cache, progress=note).digest() == corpus.digest()
    assert set(messages) == {"checking audio files"}
