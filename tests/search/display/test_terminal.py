"""What others named does not reach the terminal, the log or a page as more than a name."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Table

from detectors import saved_detector
from search import score
from search.display.progress import Display
from search.display.terminal import LogFormatter, cell, print_error, print_text
from search.reporting import markdown
from search.running.preparation import run_log
from search.runs.record import Record
from search.settings.command_line import parse
from search.settings.options import Settings
from trainables.printable import printable

EVIL = "\x1b]0;owned\x07\x1b[2J\u202etxt\u200b\x9b31m"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\u202etxt\u200b\x9b31m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Ünïcode, 日本語, עברית [x] \\ $", "plain, Ünïcode, 日本語, עברית [x] \\ $"),
        (EVIL, SHOWN),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\udcff.wav", r"\udcff.wav"),
        ("\u2066left\u2069\u00a0\u2028", r"\u2066left\u2069\xa0\u2028"),
        ("\U000e0041", r"\U000e0041"),
        (Path("a/b"), "a/b"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: object, shown: str) -> None:
    assert printable(text) == shown


@given(text=st.text(st.characters(), max_size=20), keep=st.sampled_from(["", "\n", "\n\t"]))
def test_any_text_can_be_shown(text: str, keep: str) -> None:
    shown = printable(text, keep)
    assert all(character.isprintable() or character in keep for character in shown)
    shown.encode()
    assert printable(shown, keep) == shown
    if text.isprintable():
        assert shown == text


def test_lines_of_ours_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(f"one\n  {EVIL}")
    print_error(ValueError(EVIL))
    assert capsys.readouterr() == (f"one\n  {SHOWN}\n", f"{SHOWN}\n")


def shown_on(width: int, *things: object) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    for thing in things:
        console.print(thing)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_a_cell_is_one_line_without_markup() -> None:
    table = Table("name")
    table.add_row(cell(f"[bold red]{EVIL}\nnext"))
    assert f"[bold red]{SHOWN}\\nnext" in shown_on(200, table)


def test_the_display_shows_names_and_obeys_none() -> None:
    text = io.StringIO()
    display = Display(Console(file=text, width=300, force_terminal=False))
    with display:
        display.status("corpus", EVIL)
        display.message(EVIL)
        display.trial_ended(Record(0, "FAIL", None, {}, error=EVIL))
        display.table([Record(1, "COMPLETE", EVIL, {}, eer=0.5, size=3, weighted_eer=0.5)])
    written = text.getvalue() + shown_on(300, display.render())
    assert written.count(SHOWN) == 5
    assert printable(written, "\n") == written


def test_the_log_keeps_its_lines_and_no_more(settings: Settings) -> None:
    with run_log(settings):
        logging.getLogger("search.test").info("of %s", f"{EVIL}")
        try:
            raise ValueError(EVIL)
        except ValueError:
            logging.getLogger("search.test").exception("broken")
    written = (settings.run_folder / "run.log").read_text(encoding="utf-8")
    assert written.count(SHOWN) >= 2
    assert "\nTraceback" in written
    assert printable(written, "\n\t") == written


def test_an_entry_of_the_log() -> None:
    entry = logging.LogRecord("search", logging.INFO, "file", 1, "a\x1b%s", ("b\tc\n\r",), None)
    assert LogFormatter("%(message)s").format(entry) == "a\\x1bb\tc\n\\r"


def test_a_detector_and_files_with_hostile_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = f"nothing\nx.flac  9.999  bona fide {EVIL}"
    folder = saved_detector(tmp_path / "one", corpus={"name": "x", "digest": "", "note": note})
    good, bad = tmp_path / "\x1b[2Jgood\n[red].flac", tmp_path / "\x1b[2Jbad\n.flac"
    soundfile.write(good, np.random.default_rng(0).uniform(-0.1, 0.1, 16000), 16000)
    assert score.main([str(folder), str(good), str(bad)]) == 1
    out, err = capsys.readouterr()
    assert printable(out + err, "\n") == out + err
    assert r"\x1b[2Jgood\n[red].flac" in re.sub(r"\s+\n\s+", "", out)
    assert r"\x1b[2Jbad\n.flac is missing" in err
    assert err.splitlines()[1:] == ["1 of 2 could not be scored"]
    assert r"trained on nothing\nx.flac" in out


def test_a_command_line_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--corpus", "fake-or-real", "--corpus-root", "\x1b[2J"])
    err = capsys.readouterr().err
    assert r"\x1b[2J" in err
    assert printable(err, "\n") == err


MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


def cells(page: str) -> list[str]:
    """The texts of a page's table cells; a page that holds more than one table of plain text is none."""
    tokens = MARKDOWN.parse(page)
    assert {token.type for token in tokens if token.type != "inline"} == {
        *("table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
        *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    }
    texts = [token.children or [] for token in tokens if token.type == "inline"]
    assert {one.type for children in texts for one in children} <= {"text", "text_special"}
    return ["".join(one.content for one in children) for children in texts]


@pytest.mark.parametrize(
    "name",
    [
        *("A01", "tts_v2_x", "a|b", "\\|", "<script>alert(1)</script>", "&lt;b>", "![x](http://evil/pixel)"),
        *("[x](javascript:1)", "`code`", "**bold** _it_ ~~gone~~", "\n\n# head", "<!-- ", "\\", "a\\\\|b", EVIL),
    ],
)
def test_a_name_on_a_card_is_a_name(name: str) -> None:
    page = "\n".join(markdown.table(["attack", "dev"], [[name, "1.00 %"]]))
    assert cells(page) == ["attack", "dev", printable(name).strip(), "1.00 %"]


@given(name=st.text(st.sampled_from("aA1 |\\`*_~[]()<>&!#-:;.\n\x1b/=\"'"), min_size=1) | st.text(min_size=1))
def test_any_name_on_a_card_is_a_name(name: str) -> None:
    page = "\n".join(markdown.table(["attack", "dev"], [[name, "1.00 %"]]))
    assert cells(page) == ["attack", "dev", printable(name).strip(), "1.00 %"]
