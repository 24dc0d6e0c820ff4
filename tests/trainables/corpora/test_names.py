"""Corpora by name: what each name reads, and what happens where no demo corpus can be built."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import project_file
from trainables import corpora
from trainables.corpora import asvspoof2019, fake_or_real
from trainables.corpora.corpus import Corpus, Unavailable
from trainables.errors import DropinError


def corpus(name: str) -> Corpus:
    return Corpus(name, Path("/"), {"train": (), "dev": (), "eval": ()})


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus must be one of demo, asvspoof2019-la, .*, synthetic\b.*; got 'mini'"):
        corpora.read("mini", None, cache=tmp_path)


@pytest.mark.parametrize("name", [name for name in corpora.NAMES if not corpora.is_built(name)])
def test_corpora_that_are_read_need_a_root(tmp_path: Path, name: str) -> None:
    words = corpora.load(name).ROOT
    assert words == corpora.root_in_words(name)
    with pytest.raises(DropinError, match=re.escape(f"corpus {name} must be given with its root, {words}")):
        corpora.read(name, None, cache=tmp_path)


@pytest.mark.parametrize("name", [name for name in corpora.NAMES if corpora.is_built(name)])
def test_corpora_that_are_built_have_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"corpus {name} is built by this project and has no root"):
        corpora.read(name, tmp_path, cache=tmp_path)


def test_demo_falls_back_to_synthetic_and_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def reader(name: str) -> Callable[..., Corpus]:
        def read(root: Path | None, **options: object) -> Corpus:
            asked.append((name, options["cache"]))
            if name == "demo":
                raise Unavailable("no packages here")
            return corpus(name)

        return read

    for name in ("demo", "synthetic"):
        monkeypatch.setattr(corpora.load(name), "read", reader(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = corpora.read("demo", None, cache=tmp_path)
    assert asked == [("demo", tmp_path), ("synthetic", tmp_path)]
    assert replace(found, notes=()) == corpus("synthetic")
    assert found.notes == (
        "corpus demo cannot be built here (no packages here); going on with synthetic, which is simulated speech",
    )


def test_other_failures_of_demo_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(root: Path | None, **options: object) -> Corpus:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(corpora.load("demo"), "read", read)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="a fault of ours"):
            corpora.read("demo", None, cache=tmp_path)


def test_a_corpus_without_a_fallback_says_that_it_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(root: Path | None, **options: object) -> Corpus:
        raise Unavailable("no numbers here")

    monkeypatch.setattr(corpora.load("synthetic"), "read", read)
    with pytest.raises(Unavailable, match="no numbers here"):
        corpora.read("synthetic", None, cache=tmp_path)


def test_which_corpora_are_built_is_known_without_their_files() -> None:
    assert corpora.is_built("demo")
    assert corpora.is_built("synthetic")
    assert not any(corpora.is_built(name) for name in corpora.NAMES if name.startswith(("asvspoof", "fake-or-real")))
    for name in corpora.NAMES:
        assert corpora.is_built(name) == (corpora.load(name).ROOT is None)
    code = "import sys; from trainables import corpora; print([corpora.is_built(name) for name in corpora.NAMES]); "
    code += "sys.exit(bool({'torch', 'numpy', 'soundfile'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=project_file.ROOT).returncode == 0


def test_every_variant_has_a_name() -> None:
    for name in corpora.NAMES:
        module = corpora.load(name)
        assert set(module.VARIANTS) <= set(corpora.NAMES)
        assert not module.VARIANTS or name in module.VARIANTS
        assert all(corpora.load(other) is module for other in module.VARIANTS)
    assert set(corpora.load("fake-or-real").VARIANTS.values()) == set(fake_or_real.FOLDERS)
    assert set(corpora.load("asvspoof2019-la").VARIANTS.values()) == set(asvspoof2019.COLUMNS)


def test_names_of_one_reader_share_its_module() -> None:
    assert corpora.load("synthetic").__name__ == "trainables.corpora.synthetic"
    assert corpora.load("fake-or-real-2sec") is corpora.load("fake-or-real")
