"""What a command prints lasts as long as the command: whoever reads it, and whatever their encoding is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from project_file import ROOT
from search.display.terminal import LastingStream

PRINT = """
import sys
from search.display import terminal
from search.display.progress import Display
terminal.prepare()
display = Display()
with display:
    for number in range(20_000):
        display.message(f"line {number}: Ünïcode")
sys.stderr.write("done")
"""


def printing(output: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_is_gone_ends_the_display_and_not_the_command() -> None:
    reading, writing = os.pipe()
    process = printing(writing)
    os.close(writing)
    assert os.read(reading, 10)
    os.close(reading)
    assert process.communicate(timeout=60)[1] == "done"
    assert process.returncode == 0


def test_a_character_that_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        process = printing(output.fileno(), PYTHONIOENCODING="ascii")
        assert process.communicate(timeout=60)[1] == "done"
    assert (tmp_path / "out").read_bytes().splitlines()[0] == rb"line 0: \xdcn\xefcode"


@pytest.mark.parametrize("method", ["write", "flush"])
def test_once_writing_fails_what_is_written_is_dropped(method: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as file:
        stream = LastingStream(file)
        assert stream.write("before\n") == 7
        stream.flush()

        def fail(*given: object) -> None:
            raise BrokenPipeError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream, "_stream", _Failing(file, method, fail))
            stream.write("lost")
            stream.flush()
        Console(file=stream).print("dropped")  # type: ignore[arg-type]
        assert (stream.writable(), stream.isatty(), stream.encoding) == (True, False, file.encoding)
    assert path.read_text() == "before\n"


class _Failing:
    """A stream of which one method raises."""

    def __init__(self, stream: object, method: str, fail: object) -> None:
        self._stream = stream
        setattr(self, method, fail)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
