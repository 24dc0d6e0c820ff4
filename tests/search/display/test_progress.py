from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from search.cluster.ray_cluster import Cluster
from search.display.progress import Display, clock_text, describe
from search.runs.front import Standings
from search.runs.record import Record

GOOD = Record(2, "COMPLETE", "paper", {}, eer=0.0825, size=1234567, weighted_eer=0.09)
FAILED = Record(3, "FAIL", None, {}, error="RuntimeError: [no] luck")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[Display, io.StringIO, Clock]:
    text, clock = io.StringIO(), Clock()
    return Display(Console(file=text, width=200, force_terminal=False), clock), text, clock


def shown(display: Display) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(display.render())
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (187, "3:07"), (3600, "1:00:00"), (86399.4, "23:59:59")]
)
def test_clock_text(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (GOOD, "trial 2 (paper): EER 8.25 % at 1,234,567 parameters, weighted 9.00 %"),
        (FAILED, "trial 3 failed: RuntimeError: [no] luck"),
        (Record(1, "PRUNED", None, {}), "trial 1 was stopped"),
    ],
)
def test_a_trial_in_a_line(record: Record, text: str) -> None:
    assert describe(record) == text


def test_without_a_terminal_there_are_plain_lines() -> None:
    display, text, clock = plain()
    with display:
        display.status("run", "/somewhere/[one]")
        display.start_trials(4, standings := Standings())
        clock.now += 30
        display.trial_epoch(3, 0, 6)
        standings.add(FAILED)
        display.trial_ended(FAILED)
        standings.add(GOOD)
        display.trial_ended(GOOD)
    lines = text.getvalue().splitlines()
    assert lines[0] == "run: /somewhere/[one]"
    assert lines[1] == "trial 3 failed: RuntimeError: [no] luck; 1 of 4 ended, 0 running, 1 failed, about 1:30 left"
    assert lines[2].endswith("2 of 4 ended, 0 running, 1 failed, about 0:30 left")
    assert "\x1b" not in text.getvalue()


def test_long_work_takes_a_few_plain_lines() -> None:
    display, text, _ = plain()
    with display:
        for done in range(1001):
            display.progress("listening", done, 1000)
    lines = text.getvalue().splitlines()
    assert lines[-1] == "listening: 1000 of 1000"
    assert len(lines) == 4


def test_time_left_is_the_nearer_of_deadline_and_last_trial() -> None:
    display, _, clock = plain()
    display.start_trials(10, standings := Standings([GOOD]), deadline=clock.now + 50)
    assert "about 0:50 left" in shown(display)
    clock.now += 2
    standings.add(FAILED)
    display.trial_ended(FAILED)
    assert "about 0:16 left" in shown(display)  # 8 more trials, 2 s each; the trial of an earlier process took no time


def test_without_limit_of_trials_and_minutes_nothing_is_said_of_what_is_left() -> None:
    display, _, _ = plain()
    display.start_trials(None, Standings())
    assert "left" not in shown(display)


def test_the_panel_shows_how_it_stands() -> None:
    display, _, clock = plain()
    display.cluster(Cluster(1, 0.5, 2, "http://127.0.0.1:8265", "log in with X", "a node with 1 GPU", "ssh there"))
    display.progress("base", 3, 8)
    display.start_trials(4, standings := Standings())
    display.trial_epoch(5, 2, 6)
    standings.add(GOOD)
    display.trial_ended(GOOD)
    clock.now += 61
    panel = shown(display)
    for part in (
        "2 at once, 1 CPU, 0.5 GPU each",
        "http://127.0.0.1:8265 (log in with X; from another machine first `ssh there`)",
        "waiting for",
        "3 of 8",
        "1 of 4 ended, 1 running, 0 failed",
        "5 (epoch 2/6)",
        "EER 8.25 %",
        "1 detector",
        "1:01 gone",
    ):
        assert part in panel
    display.progress("base", 8, 8)
    display.trials_finished()
    assert "of 8" not in shown(display)
    assert "epoch" not in shown(display)


@pytest.mark.parametrize(
    ("login", "tunnel", "line"),
    [
        (None, None, "dashboard: http://here"),
        ("log in", None, "dashboard: http://here (log in)"),
        (None, "ssh there", "dashboard: http://here (from another machine first `ssh there`)"),
    ],
)
def test_what_is_said_of_the_dashboard_is_one_line(login: str | None, tunnel: str | None, line: str) -> None:
    display, text, _ = plain()
    display.cluster(Cluster(1, 0.0, 2, "http://here", login, None, tunnel))
    assert line in text.getvalue().splitlines()


def test_on_a_terminal_the_panel_is_drawn_and_stays() -> None:
    text = io.StringIO()
    with Display(Console(file=text, width=100, force_terminal=True)) as display:
        display.status("run", "somewhere")
        display.message("look here")
    assert "look here" in text.getvalue()
    assert "somewhere" in text.getvalue()


def test_what_others_print_goes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    display, text, _ = plain()
    with caplog.at_level(logging.INFO, "search"), display:
        print("a worker", "died")
    assert "a worker died" in caplog.text
    assert "worker" not in text.getvalue()


def test_the_front_is_printed_as_a_table() -> None:
    display, text, _ = plain()
    display.table([GOOD])
    assert "2 (paper)" in text.getvalue()
    assert "1,234,567" in text.getvalue()
    assert "8.25 %" in text.getvalue()
