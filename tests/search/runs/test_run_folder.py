from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.runs import results
from search.runs.front import Standings, best_of, front_of, separated
from search.runs.record import Record
from search.runs.results import write_tables
from search.runs.run_folder import corpus_digest, write_corpus, write_text, write_versions
from trainables.corpora.corpus import Corpus, Utterance
from trainables.corpora.tally import Tally
from trainables.storage.run_paths import RunPaths


def record(number: int, eer: float | None, size: int | None, state: str = "COMPLETE") -> Record:
    weighted = None if eer is None else eer * 2
    return Record(number, state, None, {"epochs": 1}, eer=eer, size=size, weighted_eer=weighted)


RECORDS = [
    record(4, 0.1, 300),
    record(0, 0.2, 200),
    record(1, 0.3, 200),  # beaten by 0
    record(2, 0.05, 100, "PRUNED"),
    record(3, None, None, "FAIL"),
    record(5, 0.4, 100),
]


def test_front_holds_what_no_complete_trial_beats_smallest_first() -> None:
    assert [one.number for one in front_of(RECORDS)] == [5, 0, 4]


def test_best_is_the_lowest_weighted_eer_of_complete_trials() -> None:
    best = best_of(RECORDS)
    assert best is not None
    assert best.number == 4
    assert best_of([]) is None
    assert front_of([]) == []


def test_members_whose_intervals_meet_are_not_told_apart(tmp_path: Path) -> None:
    def member(number: int, eer: float, low: float | None, high: float | None) -> Record:
        return replace(record(number, eer, 100 + number), eer_low=low, eer_high=high)

    front = [
        *(member(0, 0.40, 0.35, 0.45), member(1, 0.30, 0.26, 0.34), member(2, 0.28, 0.24, 0.32)),
        *(member(3, 0.20, None, None), member(4, 0.10, 0.05, 0.15), member(5, 0.09, 0.01, 0.05)),
    ]
    assert separated(front) == {0: True, 1: False, 2: False, 4: False, 5: False}
    assert separated([]) == {}
    write_tables(RunPaths(tmp_path), front)
    table = pq.read_table(tmp_path / "front.parquet").to_pylist()
    assert [row["separated"] for row in table] == [True, False, False, None, False, False]
    assert table[0]["eer_high"] == 0.45


def test_tables_say_the_same_as_the_records(tmp_path: Path) -> None:
    write_tables(RunPaths(tmp_path), RECORDS)
    results = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["number"] for row in results] == [0, 1, 2, 3, 4, 5]
    assert [row["front"] for row in results] == [True, False, False, False, True, True]
    assert results[4]["detector"] == "detectors/4"
    assert results[3]["detector"] is None
    assert json.loads(results[0]["plan"]) == {"epochs": 1}
    front = pq.read_table(tmp_path / "front.parquet").to_pylist()
    assert [(row["number"], row["eer"], row["size"]) for row in front] == [(5, 0.4, 100), (0, 0.2, 200), (4, 0.1, 300)]


def test_tables_are_the_same_however_many_rows_are_made_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(RunPaths(tmp_path), RECORDS)
    whole = pq.read_table(tmp_path / "results.parquet")
    monkeypatch.setattr(results, "PORTION", 4)
    write_tables(RunPaths(tmp_path), RECORDS)
    assert pq.read_table(tmp_path / "results.parquet").equals(whole)


def test_tables_of_no_trial_have_their_columns(tmp_path: Path) -> None:
    write_tables(RunPaths(tmp_path), [])
    assert "weighted_eer" in pq.read_table(tmp_path / "front.parquet").column_names


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "long text")
    write_text(tmp_path / "a", "short")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "short"


def test_versions_name_what_results_depend_on(tmp_path: Path) -> None:
    write_versions(tmp_path)
    assert {"python", "torch", "ray", "optuna"} <= set(json.loads((tmp_path / "versions.json").read_text()))


def test_corpus_counts_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"sound")
    train = tuple(
        Utterance(name, file, label, "s", attack)
        for name, label, attack in [("a", 1, "-"), ("b", 0, "A1"), ("c", 0, "A1")]
    )
    counts = {"train": {"bona fide": Tally(1), "spoof": Tally(2, {"is empty": 1})}}
    corpus = Corpus(
        "mine",
        tmp_path,
        {"train": train, "dev": train[:2], "eval": ()},
        skipped=("d: empty",),
        notes=("odd",),
        counts=counts,
    )
    assert corpus_digest(tmp_path) is None
    write_corpus(tmp_path, corpus)
    about = json.loads((tmp_path / "corpus.json").read_text())
    files = {
        "bona fide": {"found": 1, "read": 1, "left_out": {}},
        "spoof": {"found": 3, "read": 2, "left_out": {"is empty": 1}},
    }
    assert about["splits"]["train"] == {
        "bona_fide": 1,
        "spoof": 2,
        "speakers": 1,
        "attacks": ["A1"],
        "files": files,
    }
    assert about["splits"]["dev"]["files"] == {}
    assert (about["skipped"], about["notes"]) == (["d: empty"], ["odd"])
    assert corpus_digest(tmp_path) == corpus.digest()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8)), max_size=14), st.integers(1, 3))
def test_who_leads_is_known_from_the_front_alone(points: list[tuple[int, int]], cell: int) -> None:
    """Also where sizes of a cell count as equal, though the front is that of exact sizes."""
    standings = Standings()
    for number, (eer, size) in enumerate(points):
        beaten = any(e <= eer and s // cell <= size // cell for e, s in points[:number])
        assert standings.leads(eer / 10, size, lambda value: value // cell) == (not beaten)
        ended = record(number, eer / 10, size)
        before = standings.front
        out = standings.add(ended)
        assert {one.number for one in [*before, ended]} == {one.number for one in [*standings.front, *out]}
    assert standings.ended == len(points)
    assert standings.front == front_of([record(n, e / 10, s) for n, (e, s) in enumerate(points)])
