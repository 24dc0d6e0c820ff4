"""Text to speech by programs of the distribution, installed or unpacked in a folder."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from trainables.audio.reading import read_audio

_TIMEOUT = 60


class SynthesisError(RuntimeError):
    """A program did not synthesise a text."""


def espeak(root: Path, text: str, *, voice: str, words_a_minute: int, pitch: int) -> np.ndarray:
    """Formant synthesis by eSpeak NG.

    Args:
        root: ``/`` or the folder that the packages are unpacked in; likewise below.
        text: words in the voice's language.
        voice: an eSpeak NG voice, such as ``es`` or ``it+klatt4``.
        words_a_minute: speed.
        pitch: 0 to 99.

    Returns:
        float32 ``[samples]`` at 16 kHz; likewise below.

    Raises:
        SynthesisError: the program is missing, fails, or gives silence; likewise below.
    """
    arguments = ["-v", voice, "-s", str(words_a_minute), "-p", str(pitch), "-w", "speech.wav", "--", text]
    if root != Path("/"):
        data = next(iter(sorted(root.glob("usr/lib/*/espeak-ng-data"))), root / "usr/share/espeak-ng-data")
        arguments = [f"--path={data.parent}", *arguments]
    return _speak(root, "espeak-ng", arguments)


def flite(root: Path, text: str, *, voice: str, stretch: float) -> np.ndarray:
    """Unit selection or statistical synthesis by Flite; `stretch` is a factor on durations."""
    return _speak(
        root, "flite", ["-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text, "-o", "speech.wav"]
    )


def festival(root: Path, text: str, *, voice: str, stretch: float, encoding: str) -> np.ndarray:
    """Diphone synthesis by Festival; `encoding` is that of the voice's lexicon."""
    quoted = text.replace("\\", "").replace('"', "")
    script = (
        f"(voice_{voice})\n(Parameter.set 'Duration_Stretch {stretch})\n"
        f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "speech.wav" \'riff)\n'
    )
    # Clearing the default heap of ten million cells takes longer than the synthesis.
    arguments = ["--heap", "3000000", "-b", "speech.scm"]
    if root != Path("/"):
        library = ["--datadir", str(root / "usr/share/festival"), "--libdir", str(root / "usr/lib/festival")]
        arguments = [*library, *arguments]
    return _speak(root, "festival", arguments, script=script.encode(encoding, "ignore"))


def _speak(root: Path, program: str, arguments: Sequence[str], script: bytes = b"") -> np.ndarray:
    """Run a program in a temporary folder with the script, and read the ``speech.wav`` that it writes."""
    with tempfile.TemporaryDirectory(prefix="speech-") as temporary:
        folder = Path(temporary)
        (folder / "speech.scm").write_bytes(script)
        # The user's start-up files (.festivalrc) must not change the synthesis.
        environment = {**os.environ, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
        if root != Path("/"):
            environment["LD_LIBRARY_PATH"] = _library_path(root)
        try:
            done = subprocess.run(
                [str(root / "usr/bin" / program), *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
            audio = read_audio(folder / "speech.wav")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SynthesisError(f"{program} cannot be run: {error}") from error
        except ValueError as error:
            messages = done.stderr.decode(errors="replace").strip().splitlines()
            raise SynthesisError(f"{program} made no speech: {messages[-1] if messages else error}") from error
    if not audio.any():
        raise SynthesisError(f"{program} made only silence")
    return audio


@lru_cache(maxsize=1)
def _library_path(root: Path) -> str:
    """Folders of the shared libraries that were unpacked with the programs."""
    folders = {str(library.parent) for top in ("lib", "usr/lib") for library in (root / top).rglob("*.so*")}
    return os.pathsep.join(sorted(folders))
