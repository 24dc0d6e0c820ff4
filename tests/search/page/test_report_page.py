from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

import finished_run
import project_file
from html_page import Page
from search import report
from search.page.document import document
from search.page.report_data import ReportData
from search.reporting.evaluation import Evaluation
from search.reporting.export_folder import MARKER
from search.reporting.tables import DetectorResult, write_tables
from search.runs.members import StoredRun, members
from search.runs.record import Record
from search.runs.trial_log import TrialLog, read
from trainables.errors import DropinError

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run.make(tmp_path_factory.mktemp("place"))


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy of a finished run that a test may change."""
    return Path(shutil.copytree(original, tmp_path / "one"))


def exported(run: Path, folder: Path, attack: str = "A01") -> Path:
    """An export of the run with made-up results."""
    opened = StoredRun.open(run)
    dev = Evaluation(0.1, {attack: 0.125}, 0.0, 0.0, None, (0.0, 0.2), 0.3, 0.4, 0.5, 0.45, 0.0)
    entries = [
        DetectorResult(m, f"detectors/{m.number}" if m.role == "front" else None, 100, 0.1, dev=dev)
        for m in members(opened)
    ]
    folder.mkdir()
    write_tables(folder, entries)
    about = {"run": opened.settings.name, "trials": 6, "corpus": opened.corpus["digest"], "files": []}
    (folder / MARKER).write_text(json.dumps(about))
    return folder


def page(run: Path, export: Path | None = None) -> Page:
    return Page(document(ReportData.from_run(StoredRun.open(run), export)))


def test_every_trial_with_an_eer_and_a_size_is_a_point(run: Path) -> None:
    traces = page(run).data["figures"]["front"]["data"]
    points = {
        number: (x, y)
        for trace in traces
        for number, x, y in zip(trace.get("customdata", []), trace["x"], trace["y"], strict=False)
    }
    records = {one.number: one for one in StoredRun.open(run).records if one.eer is not None}
    assert set(points) == {*records, "base"}
    assert sum(len(trace.get("customdata", [])) for trace in traces) == len(points)
    for number, one in records.items():
        assert one.eer is not None
        assert points[number] == (one.size, pytest.approx(100 * one.eer))
    groups = {trace["name"]: trace["customdata"] for trace in traces if "customdata" in trace}
    assert groups == {
        "completed": [],
        "stopped early": [5],
        "front": [2, 3],
        "recipes": [0, 1],
        "base": ["base"],
    }


def test_every_trial_has_its_card(run: Path) -> None:
    cards = page(run).data["cards"]
    records = {str(one.number): one for one in StoredRun.open(run).records}
    assert set(cards) == {*records, "base"}
    assert cards["3"]["title"] == "Trial 3"
    assert cards["3"]["state"] == "completed, on the front"
    assert ["EER on dev", "10.00 %"] in cards["3"]["numbers"]
    widths = {site: now for site, _, now in cards["3"]["widths"]}
    assert widths == records["3"].total_widths
    assert cards["4"]["error"] == "Diverged: the loss is nan"
    assert cards["5"]["numbers"][0] == ["EER on dev, last epoch", "1.00 %"]


def test_the_header_has_the_runs_settings_and_progress(run: Path) -> None:
    text = page(run).text
    for words in ("plasticity: resnet18 on asvspoof2019-la", "6 ended: 4 completed, 1 stopped early, 1 failed"):
        assert words in text
    assert "Note on the corpus" not in text
    assert "python -m search.export" in text
    corpus = json.loads((run / "corpus.json").read_text())
    (run / "corpus.json").write_text(json.dumps({**corpus, "note": "simulated speech"}))
    assert "Note on the corpus: simulated speech" in page(run).text


def test_eers_by_attack_come_from_an_export(run: Path, tmp_path: Path) -> None:
    assert "attacks-dev" not in page(run).data["figures"]
    found = page(run, exported(run, tmp_path / "front")).data["figures"]
    assert found["attacks-dev"]["data"][0]["text"] == [["12.5"] * 5]
    assert found["attacks-dev"]["data"][0]["x"] == ["2", "3", "paper", "control", "base"]
    assert "attacks-eval" not in found


def test_plotly_accepts_every_figure(run: Path, tmp_path: Path) -> None:
    found = page(run, exported(run, tmp_path / "front")).data["figures"]
    assert {"front", "attacks-dev", "hypervolume", "weighted", "widths", "times"} <= set(found)
    style = (Path(report.__file__).parent / "page" / "page.css").read_text()
    for one in found.values():
        text = json.dumps({"data": one["data"], "layout": one["layout"]})
        for name in re.findall(r'"(--[a-z-]+)"', text):
            assert style.count(f"{name}: ") == (1 if name == "--clear" else 2), f"{name}, in light and in dark"
        go.Figure(json.loads(re.sub(r'"--[a-z-]+"', '"#123456"', text)))


def test_the_page_makes_no_requests_and_runs_only_its_own_scripts(run: Path) -> None:
    found = page(run)
    assert [attrs for tag, attrs in found.tags if "src" in attrs] == []
    assert {attrs["href"] for _, attrs in found.tags if "href" in attrs} == {"data:,"}
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert policy.count("'sha256-") == len(found.scripts) - 1 == 2
    assert "url(" not in (Path(report.__file__).parent / "page" / "page.css").read_text()


def test_texts_from_files_are_escaped(run: Path, tmp_path: Path) -> None:
    log = [*StoredRun.open(run).records]
    (run / "trials.jsonl").unlink()
    changed = TrialLog(run / "trials.jsonl")
    for one in log:
        facts = {**vars(one), "error": HOSTILE if one.error else None, "seconds_parts": {HOSTILE: 1.0}}
        if one.number < 2:
            facts["recipe"] = HOSTILE
        changed.append(Record(**{**facts, "total_widths": {**one.total_widths, HOSTILE: 3}}))
    corpus = json.loads((run / "corpus.json").read_text())
    corpus["splits"]["dev"]["attacks"].append(HOSTILE)
    (run / "corpus.json").write_text(json.dumps({**corpus, "name": HOSTILE, "note": HOSTILE}))
    (run / "confirm").mkdir()
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    (run / "confirm" / "confirm.csv").write_text(
        f"detector,what,parameters,seed,eer_dev,eer_eval\n{quoted},{quoted},10,0,0.1,\n"
    )
    html = document(ReportData.from_run(StoredRun.open(run), exported(run, tmp_path / "front", attack=HOSTILE)))
    found = Page(html)
    assert "img" not in {tag for tag, _ in found.tags}
    assert len(found.scripts) == 3
    assert "<img" not in found.scripts[0]
    assert found.text.count(HOSTILE) >= 6  # corpus, note, recipes, confirmation, error
    assert found.data["cards"]["4"]["error"] == HOSTILE
    figures = found.data["figures"]
    safe = "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;\"'"
    assert figures["attacks-dev"]["data"][0]["y"] == [safe]
    assert figures["parts"]["data"][0]["y"] == [safe]
    recipes = next(trace for trace in figures["front"]["data"] if trace.get("name") == "recipes")
    assert recipes["text"] == [safe, safe]
    assert all("<img" not in text for text in recipes["hovertext"])
    finished_run.rewrite_settings(run, name=HOSTILE)
    with pytest.raises(DropinError, match="name must be letters"):
        StoredRun.open(run)


def test_the_command_writes_one_file_and_says_where(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in run.iterdir()}
    assert report.main([str(run)]) == 0
    assert {path.name for path in run.iterdir()} == {*before, "report.html"}
    assert capsys.readouterr().out.startswith(f"report: {run / 'report.html'}, ")
    assert report.main([str(run), "--to", str(tmp_path / "new" / "page.html")]) == 0
    assert (tmp_path / "new" / "page.html").read_bytes() == (run / "report.html").read_bytes()


def test_a_run_without_a_front_shows_its_failures(run: Path) -> None:
    (run / "trials.jsonl").unlink()
    TrialLog(run / "trials.jsonl").append(Record(0, "FAIL", None, finished_plan(run), error="RuntimeError: no luck"))
    found = page(run)
    assert "there is no front" in found.text
    assert "RuntimeError: no luck" in found.text
    assert "front" not in found.data["figures"]
    assert found.data["cards"]["0"]["error"] == "RuntimeError: no luck"


def finished_plan(run: Path) -> dict[str, Any]:
    settings = StoredRun.open(run).settings
    from trainables.models.architecture import Architecture

    return finished_run.plans(settings, Architecture.create(settings.model, settings.model_option))["paper"]


def test_a_missing_base_is_reported(run: Path) -> None:
    shutil.rmtree(run / "base")
    found = page(run)
    assert "The base is missing" in found.text
    assert [t["name"] for t in found.data["figures"]["front"]["data"] if t.get("customdata") == ["base"]] == []


def test_reports_start_without_ray() -> None:
    code = "import sys, search.report, search.page.document, search.page.report_data; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=project_file.ROOT, capture_output=True, text=True
    )
    assert "ray" not in done.stdout.split()


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path)]) == 2
    assert "a run is a folder that search.run wrote" in capsys.readouterr().err


def test_a_run_without_trials_has_no_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "trials.jsonl").unlink()
    assert report.main([str(run)]) == 1
    assert "a report needs an ended trial" in capsys.readouterr().err
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["trials.jsonl", "page", "detectors"])
def test_only_a_page_is_written_over(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read(run / "trials.jsonl")
    assert report.main([str(run), "--to", str(run / name)]) == 2
    assert "--to must be a file that ends in .html" in capsys.readouterr().err
    assert read(run / "trials.jsonl") == before


def test_an_export_of_something_else_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(run), "--front", str(run)]) == 1
    assert "--front must be a folder that search.export wrote" in capsys.readouterr().err
    folder = exported(run, tmp_path / "front")
    finished_run.rewrite_settings(run, name="another")
    assert report.main([str(run), "--front", str(folder)]) == 1
    assert "--front must be an export of this run, another" in capsys.readouterr().err
