"""The commands that are printed work as they are pasted into a shell, whatever folders are called."""

from __future__ import annotations

import html
import io
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

import finished_run
from search import export
from search.display.progress import Display
from search.page.document import document
from search.page.report_data import ReportData
from search.running.finish import finish, resume_command
from search.runs.members import StoredRun
from search.runs.trial_log import TrialLog
from search.settings.start import check_new
from search.storage.bucket_pull import check_new as check_new_uri
from trainables.errors import DropinError
from trainables.storage import bucket_files

NAME = "my runs #1; it's $HOME"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run.make(tmp_path_factory.mktemp("next") / NAME)


def pasted(line: str) -> list[str]:
    """The words that a program is given when this line is typed into a shell."""
    script = 'words() { printf "%s\\0" "$@"; }\n' + re.sub("^(python|optuna-dashboard) ", "words ", line)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_what_a_search_names_next(run: Path) -> None:
    settings, text = StoredRun.open(run).settings, io.StringIO()
    assert finish(settings, TrialLog(settings.paths.trials), Display(Console(file=text, width=80)))
    found = dict(line.split(": ", 1) for line in text.getvalue().splitlines() if ": python" in line)
    assert pasted(found["next"]) == ["-m", "search.export", str(run), "--to", "front/"]
    assert pasted(found["report"]) == ["-m", "search.report", str(run)]
    assert pasted(resume_command(settings)) == ["-m", "search.run", "--resume", str(run)]


def test_what_an_export_names_next(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    front = run.parent / "front #2"
    assert export.main([str(run), "--to", str(front)]) == 0
    found = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines() if ": python" in line)
    assert pasted(found["next"]) == ["-m", "search.score", str(front / "detectors" / "0"), "FILES"]
    assert pasted(found["report"]) == ["-m", "search.report", str(run), "--front", str(front)]


def test_what_a_report_names_next(run: Path) -> None:
    page = document(ReportData.from_run(StoredRun.open(run), None))
    blocks = [html.unescape(block) for block in re.findall("<pre>((?:python|optuna)[^<]*)</pre>", page)]
    lines = [pasted(line) for block in blocks for line in block.splitlines()]
    assert {line[1] for line in lines[:-1]} == {"search.export", "search.report", "search.confirm"}
    assert {line[2] for line in lines[:-1]} == {str(run)}
    assert lines[-1] == [str(run / "study.journal")]


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_a_name_that_is_taken_names_how_to_go_on(where: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"s3://bucket/{NAME}"
    if where == "folder":
        with pytest.raises(DropinError) as refused:
            check_new(StoredRun.open(run).settings)
    else:
        monkeypatch.setattr(bucket_files, "list_sizes", lambda uri: {"settings.json": 1})
        with pytest.raises(DropinError) as refused:
            check_new_uri(uri)
    words = pasted(f"python {str(refused.value).partition('--resume ')[2]}")
    assert words == [str(run) if where == "folder" else uri]
