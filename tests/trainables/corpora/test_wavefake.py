"""WaveFake: folders that say what a file is, and their faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus_trees import make_wavefake, write_audio
from trainables.corpora import wavefake
from trainables.corpora.corpus import CorpusError, Utterance

TTS = "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_wavefake(tmp_path)
    return tmp_path


def test_small_tree_exactly(root: Path) -> None:
    corpus = wavefake.read(root)
    generated, here = root.resolve() / "generated_audio", root.resolve()
    english, japanese = {"source": "ljspeech", "language": "en"}, {"source": "jsut", "language": "ja"}
    names = (
        f"{TTS}/gen_0.wav",
        "jsut_multi_band_melgan/BASIC5000_0001_gen.wav",
        "ljspeech_melgan/LJ001-0001_gen.wav",
        "LJSpeech-1.1/wavs/LJ001-0001.wav",
        "jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav",
    )
    assert corpus.splits["eval"] == (
        Utterance(names[0], generated / names[0], 0, "ljspeech", TTS, {**english, "vocoder": TTS}),
        Utterance(
            *(names[1], generated / names[1], 0, "jsut", "jsut_multi_band_melgan"),
            {**japanese, "vocoder": "multi_band_melgan"},
        ),
        Utterance(names[2], generated / names[2], 0, "ljspeech", "ljspeech_melgan", {**english, "vocoder": "melgan"}),
        Utterance(names[3], here / names[3], 1, "ljspeech", "-", {**english, "vocoder": "-"}),
        Utterance(names[4], here / names[4], 1, "jsut", "-", {**japanese, "vocoder": "-"}),
    )


def test_bona_fide_speech_may_lie_elsewhere(root: Path) -> None:
    before = wavefake.read(root)
    for folder in ("LJSpeech-1.1", "jsut_ver1.1"):
        shutil.move(root / folder, root / "speech" / folder)
    again = wavefake.read(root / "generated_audio", bonafide_root=root / "speech")
    assert again.digest() == before.digest()


def test_the_second_copy_of_the_tts_files_is_not_read(root: Path) -> None:
    write_audio(root / "generated_audio" / TTS / "generated" / "gen_0.wav")
    assert len(wavefake.read(root).splits["eval"]) == 5


def test_all_faults_come_at_once(root: Path) -> None:
    shutil.rmtree(root / "jsut_ver1.1")
    (root / "generated_audio" / "ljspeech_melgan" / "LJ001-0001_gen.wav").write_bytes(b"")
    with pytest.raises(CorpusError) as info:
        wavefake.read(root)
    assert set(info.value.faults) == {
        "jsut_ver1.1/basic5000/wav: no such folder: put the bona fide speech of jsut there, name another place by "
        "--bonafide-root, or take the folders jsut_... away",
        "generated_audio/ljspeech_melgan/LJ001-0001_gen.wav: is empty",
    }


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="has no folder with ljspeech or jsut in its name, such as ljspeech_melgan"):
        wavefake.read(tmp_path)
