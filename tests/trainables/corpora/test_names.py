"""Corpora by name: what each name reads, and what happens where no demo corpus can be built."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from trainables import corpora
from trainables.corpora.corpus import Corpus


class Unavailable(RuntimeError):
    pass


def corpus(name: str) -> Corpus:
    return Corpus(name, Path("/"), {"train": (), "dev": (), "eval": ()})


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus must be one of demo, asvspoof2019-la, .*, synthetic; got 'mini'"):
        corpora.read("mini", None, cache=tmp_path)


@pytest.mark.parametrize("name", [name for name in corpora.NAMES if name not in corpora.BUILT])
def test_corpora_that_are_read_need_a_root(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"corpus {name} must be given with its root"):
        corpora.read(name, None, cache=tmp_path)


@pytest.mark.parametrize("name", corpora.BUILT)
def test_corpora_that_are_built_have_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"corpus {name} is built by this project and has no root"):
        corpora.read(name, tmp_path, cache=tmp_path)


def test_demo_falls_back_to_synthetic_and_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def load(name: str) -> ModuleType | SimpleNamespace:
        def read(root: Path | None, **options: object) -> Corpus:
            asked.append((name, options["cache"]))
            if name == "demo":
                raise Unavailable("no packages of Debian here")
            return corpus(name)

        return SimpleNamespace(read=read, Unavailable=Unavailable)

    monkeypatch.setattr(corpora, "load", load)
    with pytest.warns(UserWarning, match="cannot be built here") as caught:
        assert corpora.read("demo", None, cache=tmp_path).name == "synthetic"
    assert asked == [("demo", tmp_path), ("synthetic", tmp_path)]
    (warning,) = caught
    assert "no packages of Debian here" in str(warning.message)
    assert "synthetic" in str(warning.message)
    assert "\n" not in str(warning.message)


def test_other_failures_of_demo_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(root: Path | None, **options: object) -> Corpus:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(corpora, "load", lambda name: SimpleNamespace(read=read, Unavailable=Unavailable))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="a fault of ours"):
            corpora.read("demo", None, cache=tmp_path)


def test_names_of_one_reader_share_its_module() -> None:
    assert corpora.load("synthetic").__name__ == "trainables.corpora.synthetic"
    assert corpora.load("fake-or-real-2sec") is corpora.load("fake-or-real")
