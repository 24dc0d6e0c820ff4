from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evaluated_front
import finished_run
from html_page import Page
from search import report
from search.page import conditions
from search.page.document import document
from search.page.other_corpora import COLOURS, corpora_figure, ranks
from search.page.report_data import ReportData
from search.reporting import evaluations
from search.reporting.evaluations import CorpusEvaluation, EvaluatedDetector, Measures
from search.reporting.front_curves import COLOURS as PICTURE_COLOURS
from search.reporting.side_by_side import Cell, Column, ShownDetector, SideBySide
from search.runs.members import StoredRun
from trainables.errors import DropinError

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its export, and evaluations: of all members and the base on eval, and of the smallest member on dev."""
    folder = tmp_path_factory.mktemp("place")
    run = finished_run.make(folder)
    front = evaluated_front.export(run, folder / "front")
    members = [front / "detectors" / name for name in ("0", "1")]
    for name, split, detectors in (("all", "eval", [*members, run / "base"]), ("smallest", "dev", members[:1])):
        evaluated_front.evaluate(
            detectors, folder / "corpus", folder / "cache", folder / name, name="elsewhere", split=split
        )
    return folder


def data_of(place: Path, *names: str) -> ReportData:
    folders = [place / name for name in names]
    return ReportData.from_run(StoredRun.open(place / "runs" / "one"), place / "front", folders)


@pytest.fixture(scope="module")
def page(place: Path) -> Page:
    """The report with both evaluations."""
    return Page(document(data_of(place, "all", "smallest")))


def table(page: Page, *head: str) -> list[list[str]]:
    """The rows of the table with this head, with single blanks."""
    for rows in page.tables:
        cells = [[" ".join(cell.split()) for cell in row] for row in rows]
        if cells[0][: len(head)] == list(head):
            return cells[1:]
    raise AssertionError(f"no table begins with {head}")


def shown(measures: Measures) -> str:
    assert measures.eer is not None
    assert measures.interval is not None
    low, high = (100 * end for end in measures.interval)
    return f"{100 * measures.eer:.2f} % {low:.2f} to {high:.2f} %"


def test_members_have_their_eer_on_every_corpus_side_by_side(page: Page, place: Path) -> None:
    everywhere = evaluations.read(place / "all").detectors
    (smallest,) = evaluations.read(place / "smallest").detectors
    rows = table(page, "trial", "parameters", "dev", "eval", "elsewhere eval", "elsewhere dev")
    by_size = sorted(everywhere, key=lambda one: one.size)
    names = {everywhere[0].sha256: "2", everywhere[1].sha256: "3", everywhere[2].sha256: "base"}
    assert [row[0] for row in rows] == [names[one.sha256] for one in by_size]
    assert [row[1] for row in rows] == [f"{one.size:,}" for one in by_size]
    # The evaluation is of the run's own eval split: what the export computed is the same, by another way.
    assert [row[4] for row in rows] == [shown(one.pooled) for one in by_size] == [row[3] for row in rows]
    assert [row[5] for row in rows] == [shown(smallest.pooled) if row[0] == "2" else "" for row in rows]


def test_a_figure_has_a_line_for_every_corpus(page: Page, place: Path) -> None:
    figure = page.data["figures"]["corpora"]
    go.Figure(json.loads(re.sub(r'"--[a-z-]+"', '"#123456"', json.dumps({k: figure[k] for k in ("data", "layout")}))))
    assert [one["name"] for one in figure["data"]] == ["dev", "eval", "elsewhere eval", "elsewhere dev"]
    assert [one["customdata"] for one in figure["data"]] == [[2, 3]] * 3 + [[2]]
    members = evaluations.read(place / "all").detectors[:2]
    line = figure["data"][2]
    for index, one in enumerate(members):
        assert one.pooled.interval is not None
        assert line["x"][index] == one.size
        assert line["y"][index] == pytest.approx(100 * (one.pooled.eer or 0))
        assert line["y"][index] + line["error_y"]["array"][index] == pytest.approx(100 * one.pooled.interval[1])
        assert line["y"][index] - line["error_y"]["arrayminus"][index] == pytest.approx(100 * one.pooled.interval[0])
    style = (Path(report.__file__).parent / "page" / "page.css").read_text()
    assert all(style.count(f"{name}: ") == 2 for name in COLOURS)
    assert all(f"{name}: {colour};" in style for name, colour in zip(COLOURS, PICTURE_COLOURS, strict=True))


def test_measures_and_conditions_have_tables_that_are_folded(page: Page, place: Path) -> None:
    assert [tag for tag, attrs in page.tags if tag == "details" and "open" not in attrs] == ["details"] * 4
    rows = table(page, "trial", "EER", "min DCF")
    everywhere = sorted(evaluations.read(place / "all").detectors, key=lambda one: one.size)
    for row, one in zip(rows, everywhere, strict=True):
        pooled = one.pooled
        assert row[7:] == [
            *(f"{100 * (share or 0):.2f} %" for share in (pooled.hter, pooled.misses, pooled.false_alarms)),
            *map(str, (pooled.bonafide, pooled.spoof)),
        ]
    attacks = table(page, "attack", "bona fide", "spoofs")
    assert [row[0] for row in attacks] == list(everywhere[0].by["attack"])
    for row in attacks:
        expected = [one.by["attack"][row[0]] for one in everywhere]
        assert row[1:3] == [str(expected[0].bonafide), str(expected[0].spoof)]
        assert row[3:] == [f"{100 * (one.eer or 0):.2f} %" for one in expected]


def test_without_evaluations_the_page_says_how_to_make_one(place: Path) -> None:
    found = Page(document(data_of(place)))
    assert "python -m search.evaluate front/" in found.text
    assert "corpora" not in found.data["figures"]


def test_an_evaluation_of_other_detectors_is_refused(place: Path, tmp_path: Path) -> None:
    known = evaluations.read(place / "all")
    other = replace(known.detectors[0], sha256="0" * 64)
    base_only = (other, known.detectors[2])
    evaluated_front.write(replace(known, detectors=base_only), tmp_path / "other")
    run = StoredRun.open(place / "runs" / "one")
    with pytest.raises(
        DropinError, match=r"must be of detectors of this front; .*other has 2, none .*search\.evaluate"
    ):
        ReportData.from_run(run, place / "front", [tmp_path / "other"])
    with pytest.raises(DropinError, match="--evaluation needs an export"):
        ReportData.from_run(run, None, [place / "all"])
    with pytest.raises(DropinError, match="at most 20 folders; got 21"):
        ReportData.from_run(run, place / "front", [place / "all"] * 21)


def test_the_command_takes_evaluations_and_draws_a_picture(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, front = str(place / "runs" / "one"), ["--front", str(place / "front")]
    picture, to = tmp_path / "new" / "front.png", ["--to", str(tmp_path / "page.html")]
    both = ["--evaluation", str(place / "all"), str(place / "smallest")]
    assert report.main([run, *front, *both, *to, "--picture", str(picture)]) == 0
    assert f"picture: {picture}" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [one.name for one in picture.parent.iterdir()] == ["front.png"]
    assert "elsewhere dev" in Page((tmp_path / "page.html").read_text()).text
    assert report.main([run, *front, *to, "--picture", str(tmp_path / "front.jpg")]) == 2
    assert "--picture must be a file that ends in .png" in capsys.readouterr().err
    for wrong, message in (
        (["--picture", str(picture)], "--picture needs an export"),
        (both, "--evaluation needs an export"),
        ([*front, "--evaluation", str(place / "corpus")], "an evaluation must be a folder that search.evaluate wrote"),
    ):
        assert report.main([run, *wrong, "--to", str(tmp_path / "none.html")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()


def test_texts_of_an_evaluation_are_escaped(place: Path, tmp_path: Path) -> None:
    known = evaluations.read(place / "all")
    by = {HOSTILE: {HOSTILE: known.detectors[0].pooled}}
    detectors = tuple(replace(one, detector=HOSTILE, run=HOSTILE, by=by) for one in known.detectors)
    corpus = replace(known.corpus, name=HOSTILE, note=HOSTILE, split="\u202eeval")
    evaluated_front.write(CorpusEvaluation(corpus, HOSTILE, detectors), tmp_path / "hostile")
    data = ReportData.from_run(StoredRun.open(place / "runs" / "one"), place / "front", [tmp_path / "hostile"])
    html = document(data)
    found = Page(html)
    assert "img" not in {tag for tag, _ in found.tags}
    assert len(found.scripts) == 3
    assert found.text.count(HOSTILE) >= 5  # note, column, its heading, condition, value
    assert "\u202e" not in html
    assert "&lt;img" in found.data["figures"]["corpora"]["data"][2]["name"]
    assert "<img" not in json.dumps(found.data["figures"]["corpora"]["data"])


def compared(*eers: Sequence[float | None], trials: Sequence[int] | None = None) -> SideBySide:
    """Members with these EERs on dev, and on corpora c1, c2, ..."""
    numbers = trials or range(len(eers[0]))
    members = tuple(ShownDetector(str(n), number, None, 1000 + n, True) for n, number in enumerate(numbers))
    columns = [
        Column(name, {str(n): Cell(eer) for n, eer in enumerate(values) if eer is not None})
        for name, values in zip(["dev", *(f"c{n}" for n in range(1, len(eers)))], eers, strict=True)
    ]
    return SideBySide(members, tuple(columns))


@settings(max_examples=30)
@given(order=st.permutations(range(6)))
def test_spearmans_correlation_in_closed_form(order: list[int]) -> None:
    dev = [0.06, 0.05, 0.04, 0.03, 0.02, 0.01]
    (found,) = ranks(compared(dev, [0.1 + rank / 100 for rank in order]))
    difference = sum((rank - (5 - n)) ** 2 for n, rank in enumerate(order))
    assert found.correlation == pytest.approx(1 - 6 * difference / (6 * 35))
    assert set(found.kept) == {n for n, rank in enumerate(order) if rank == 5 - n}
    assert (found.best_dev, found.best, found.place) == (5, order.index(0), order[5] + 1)


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ([0.4, 0.3, 0.2, 0.1], r"holds \(Spearman 1\.00 over 4 members\)\. Best on both is trial 9\. .* 7, 5, 4, 9\."),
        ([0.3, 0.4, 0.1, 0.2], r"holds in part \(Spearman 0\.60 .*trial 4; that of dev, trial 9, is number 2\."),
        ([0.2, 0.4, 0.1, 0.3], r"does not hold: .* \(Spearman 0\.00 .* is number 3\. No member has the same rank"),
        ([0.1, 0.2, 0.3, 0.4], r"is reversed: .* \(Spearman -1\.00 .* trial 7; that of dev, trial 9, is number 4\."),
        ([0.2, 0.2, 0.2, 0.2], "all 4 members have the same EER, here or on dev"),
        ([0.5, 0.1, 0.3, 0.1], r"\(Spearman 0\.63 .*Best here is trial 5; that of dev, trial 9, is among the best\."),
    ],
)
def test_an_order_in_words(here: list[float], words: str) -> None:
    (found,) = ranks(compared([0.4, 0.3, 0.2, 0.1], here, trials=[7, 5, 4, 9]))
    assert re.search(words, found.words), found.words


def test_an_order_of_fewer_than_four_members_is_not_compared() -> None:
    dev = [0.5, 0.4, 0.3, 0.2]
    assert ranks(compared(dev, [0.4, None, 0.2, 0.1])) == []
    assert [one.name for one in ranks(compared(dev, dev, [None, None, 0.1, 0.2]))] == ["c1"]
    assert corpora_figure(compared(dev, dev)) is None  # the run's own splits have figures of their own


def evaluated(by: Mapping[str, Mapping[str, Measures]]) -> EvaluatedDetector:
    return EvaluatedDetector("one", "0" * 64, 10, None, None, 0.0, one_eer(0.5), by)


def one_eer(eer: float | None, spoof: int = 10) -> Measures:
    nothing = dict.fromkeys(("min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf", "misses", "false_alarms", "hter"))
    return Measures(eer=eer, interval=None, bonafide=5, spoof=spoof, **nothing)


def test_of_many_values_those_with_the_most_utterances_are_shown() -> None:
    first = {f"v{n}": one_eer(0.25, spoof=n) for n in range(conditions.MAX_VALUES + 30)}
    second = {"v100": one_eer(None), "new": one_eer(0.125, spoof=1000)}
    detectors = tuple(ShownDetector(str(n), n, None, 10 + n, True) for n in range(2))
    column = Column("c", {}, "", {"0": evaluated({"codec": first}), "1": evaluated({"codec": second})})
    (tables,) = conditions.evaluation_tables(SideBySide(detectors, (Column("dev", {}), column)))
    (found,) = tables.conditions
    assert (found.condition, found.values, len(found.rows)) == ("codec", 131, 100)
    assert [row[0] for row in found.rows] == [*(f"v{n}" for n in range(31, 130)), "new"]
    rows = {row[0]: row for row in found.rows}
    assert rows["v99"] == ("v99", "5", "99", ["25.00 %", ""])
    assert rows["v100"] == ("v100", "5", "100", ["25.00 %", ""])
    assert rows["new"] == ("new", "5", "1,000", ["", "12.50 %"])
