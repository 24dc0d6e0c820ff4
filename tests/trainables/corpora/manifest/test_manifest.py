"""Manifests: what is read of a table of one's own recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus_trees import write_audio, write_lines
from trainables.corpora import manifest
from trainables.corpora.corpus import Corpus, Utterance

SPLIT_WORDS = {"train": "Training", "dev": "valid", "eval": "TEST"}


def small(folder: Path, *, columns: str = "path,label,split", rows: int = 12) -> Path:
    """A manifest with both classes in every split."""
    lines = [columns]
    for number in range(rows):
        write_audio(folder / f"{number}.wav")
        split = list(SPLIT_WORDS.values())[number // 2 % 3]
        told = {
            "path": f"{number}.wav",
            "label": ("real", "fake")[number % 2],
            "split": split,
            "speaker": f"s{number // 2}",
        }
        told |= {"attack": "tts" if number % 4 == 3 else "", "number": str(number), "room": "ab"[number // 6 % 2]}
        lines.append(",".join(told[column] for column in columns.split(",")))
    return write_lines(folder / "mine.csv", lines)


def names(corpus: Corpus) -> dict[str, list[str]]:
    return {split: [one.name for one in utterances] for split, utterances in corpus.splits.items()}


def test_a_small_manifest_exactly(tmp_path: Path) -> None:
    corpus = manifest.read(small(tmp_path, columns="path,label,split,speaker,attack,room"))
    assert (corpus.name, corpus.root) == ("manifest", tmp_path.resolve())
    assert names(corpus)["dev"] == ["2.wav", "3.wav", "8.wav", "9.wav"]
    assert corpus.splits["dev"][:2] == (
        Utterance("2.wav", tmp_path.resolve() / "2.wav", 1, "s1", "-", {"room": "a"}),
        Utterance("3.wav", tmp_path.resolve() / "3.wav", 0, "s1", "tts", {"room": "a"}),
    )
    assert corpus.splits["train"][1].attack == "unknown"
    assert corpus.notes[:2] == (
        "mine.csv: conditions that results can be broken down by: room",
        "mine.csv: label 'real' as bona fide (6), 'fake' as spoof (6)",
    )


@pytest.mark.parametrize("column", ["file", "Filename", "file_name", "PATH", "audio_path"])
def test_the_first_column_goes_by_several_names(tmp_path: Path, column: str) -> None:
    path = small(tmp_path)
    path.write_text(path.read_text().replace("path", column, 1))
    assert len(manifest.read(path).splits["train"]) == 4


def test_one_and_zero_are_read_and_told(tmp_path: Path) -> None:
    path = small(tmp_path)
    path.write_text(path.read_text().replace("real", "1").replace("fake", "0"))
    corpus = manifest.read(path)
    assert [one.label for one in corpus.splits["train"]] == [1, 0, 1, 0]
    assert "mine.csv: label '1' as bona fide (6), '0' as spoof (6)" in corpus.notes


def test_paths_may_be_absolute_go_up_and_lead_through_links(tmp_path: Path) -> None:
    write_audio(tmp_path / "elsewhere" / "a.wav", tmp_path / "elsewhere" / "b.wav", tmp_path / "elsewhere" / "c.wav")
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "link.wav").symlink_to(tmp_path / "elsewhere" / "c.wav")
    paths = [str(tmp_path / "elsewhere" / "a.wav"), "../elsewhere/b.wav", "link.wav"]
    lines = [f"{path},{label},test" for path, label in zip(paths, ("spoof", "genuine", "spoof"), strict=True)]
    corpus = manifest.read(write_lines(folder / "m.csv", ["path,label,split", *lines]), splits=("eval",))
    assert names(corpus)["eval"] == paths
    assert all(one.path.is_absolute() and one.path.is_file() for one in corpus.splits["eval"])


def test_paths_that_were_written_on_windows_are_read_and_told(tmp_path: Path) -> None:
    path = small(tmp_path / "in" / "here")
    lines = [line if line.startswith("path") else f"in\\here\\{line}" for line in path.read_text().splitlines()]
    corpus = manifest.read(write_lines(tmp_path / "m.csv", lines))
    assert corpus.splits["dev"][0].path == tmp_path.resolve() / "in" / "here" / "2.wav"
    assert r"m.csv: \ read as / in 12 paths" in corpus.notes


def test_json_lines_and_parquet_give_the_same_corpus(tmp_path: Path) -> None:
    path = small(tmp_path, columns="path,label,split,speaker,attack,room")
    columns, *rows = (line.split(",") for line in path.read_text().splitlines())
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    write_lines(tmp_path / "mine.jsonl", map(json.dumps, objects))
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(objects), tmp_path / "mine.parquet")
    first, *others = (manifest.read(tmp_path / f"mine.{suffix}") for suffix in ("csv", "jsonl", "parquet"))
    assert all(one.splits == first.splits and one.digest() == first.digest() for one in others)


def test_columns_of_many_values_are_no_conditions(tmp_path: Path) -> None:
    corpus = manifest.read(small(tmp_path, columns="path,label,split,number", rows=102))
    assert corpus.splits["train"][0].conditions == {}
    assert "mine.csv: columns with more than 50 values, which are left aside: number" in corpus.notes


def test_splits_are_made_by_speaker_kept_and_named(tmp_path: Path) -> None:
    path = small(tmp_path, columns="path,label,speaker", rows=20)
    corpus = manifest.read(path, cache=tmp_path / "cache")
    speakers = {split: {one.speaker for one in utterances} for split, utterances in corpus.splits.items()}
    assert {split: len(ones) for split, ones in corpus.splits.items()} == {"train": 12, "dev": 4, "eval": 4}
    assert (
        not speakers["train"] & speakers["dev"]
        | speakers["train"] & speakers["eval"]
        | speakers["dev"] & speakers["eval"]
    )
    (kept,) = (tmp_path / "cache" / "splits").iterdir()
    assert any("none of the 10 speakers is in two of them" in note for note in corpus.notes)
    assert any(note.endswith(f"the splits are kept in {kept}") for note in corpus.notes)
    table = pq.read_table(kept).to_pylist()
    in_table = {split: [row["name"] for row in table if row["split"] == split] for split in corpus.splits}
    assert in_table == names(corpus)
    again = manifest.read(path, cache=tmp_path / "cache", split_seed=1)
    assert names(again) != names(corpus)
    assert len(list((tmp_path / "cache" / "splits").iterdir())) == 2


def test_eval_alone_is_the_same_eval_and_shares_may_make_it_all(tmp_path: Path) -> None:
    path = small(tmp_path, columns="path,label,speaker", rows=20)
    alone = manifest.read(path, splits=("eval",))
    assert alone.splits["eval"] == manifest.read(path).splits["eval"]
    assert any("add --split-shares 0,0,1" in note for note in alone.notes)
    everything = manifest.read(path, splits=("eval",), split_shares=(0.0, 0.0, 1.0))
    assert len(everything.splits["eval"]) == 20
    assert not any("add --split-shares" in note for note in everything.notes)


def test_one_speaker_is_divided_which_is_told(tmp_path: Path) -> None:
    path = small(tmp_path, columns="path,label,speaker")
    write_lines(
        path,
        [
            ",".join((*line.split(",")[:2], "eva")) if number else line
            for number, line in enumerate(path.read_text().splitlines())
        ],
    )
    corpus = manifest.read(path)
    assert all(corpus.splits.values())
    assert any("1 speakers are too few" in note and "EERs may be too low" in note for note in corpus.notes)


def test_the_small_real_corpus_by_a_manifest_is_the_same_audio(mini_la: Path, tmp_path: Path) -> None:
    """Its speakers are four, of which one made eval's recordings: splits that are made keep them apart, too."""
    rows = ["filename,key,speaker_id,attack"]
    for split, file in {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}.items():
        protocol = mini_la / "LA" / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{file}.txt"
        for line in protocol.read_text().splitlines():
            speaker, name, _, attack, key = line.split()
            rows.append(f"{mini_la}/LA/ASVspoof2019_LA_{split}/flac/{name}.flac,{key},{speaker},{attack}")
    corpus = manifest.read(write_lines(tmp_path / "la.csv", rows))
    everyone = [one for utterances in corpus.splits.values() for one in utterances]
    assert (len(everyone), sum(one.label for one in everyone)) == (1025, 390)
    speakers = [{one.speaker for one in utterances} for utterances in corpus.splits.values()]
    assert sorted(map(len, speakers)) == [1, 1, 2]
    assert len(set.union(*speakers)) == 4
