"""Printed commands can be pasted into a shell, whatever is in their paths."""

from __future__ import annotations

import html
import io
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import finished_run
from search import report
from search.display.progress import Display
from search.display.terminal import command
from search.running.finish import finish, resume_command
from search.runs.trial_log import TrialLog
from search.settings.options import Settings
from search.settings.start import check_new
from trainables.errors import DropinError

ODD = "my runs #1 'of' $HOME"


@given(words=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=4))
def test_a_command_is_the_words_that_it_was_made_of(words: list[str]) -> None:
    assert shlex.split(command("search.run", *words)) == ["python", "-m", "search.run", *words]


def test_what_comes_next_names_the_run(settings: Settings, tmp_path: Path) -> None:
    odd = replace(settings, storage=tmp_path / ODD)
    odd.run_folder.mkdir(parents=True)
    assert shlex.split(resume_command(odd))[-1] == str(odd.run_folder)
    made, shown = finished_run.make(tmp_path / "made"), io.StringIO()
    shutil.copy(made / "trials.jsonl", odd.paths.trials)
    assert finish(odd, TrialLog(odd.paths.trials), Display(Console(file=shown, width=1000)))
    commands = re.findall(r"python -m .*", shown.getvalue())
    assert len(commands) == 2
    assert all(str(odd.run_folder) in shlex.split(one) for one in commands)
    with pytest.raises(DropinError) as refused:
        check_new(odd)
    assert shlex.split(str(refused.value).partition("--resume ")[2]) == [str(odd.run_folder)]


def test_the_report_names_the_run(tmp_path: Path) -> None:
    folder = finished_run.make(tmp_path / "made").rename(tmp_path / ODD)
    assert report.main([str(folder)]) == 0
    page = (folder / "report.html").read_text()
    commands = [html.unescape(one) for one in re.findall(r"<pre>(python -m .*?)(?:\n|</pre>)", page)]
    assert commands
    assert all(str(folder) in shlex.split(one) for one in commands if "search.evaluate" not in one)  # it takes a front
