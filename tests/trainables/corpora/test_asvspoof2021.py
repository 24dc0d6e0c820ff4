"""ASVspoof 2021: keys and audio in the places where people unpack them, subsets, conditions and faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asv_score_files import write_2021
from corpus_trees import DF_2021, LA_2021, make_asvspoof2021_df, make_asvspoof2021_la, write_lines
from trainables.corpora import asvspoof2021
from trainables.corpora.corpus import CorpusError, Utterance
from trainables.corpora.reading.file_checks import OUTSIDE
from trainables.errors import DropinError

KEYS = "keys/LA/CM/trial_metadata.txt"


@pytest.fixture
def la(tmp_path: Path) -> Path:
    make_asvspoof2021_la(tmp_path)
    return tmp_path


@pytest.fixture
def df(tmp_path: Path) -> Path:
    make_asvspoof2021_df(tmp_path)
    return tmp_path


def faults_of(root: Path, **more: str) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as info:
        asvspoof2021.read(root, **more)  # type: ignore[arg-type]
    return info.value.faults


def test_la_exactly(la: Path) -> None:
    corpus = asvspoof2021.read(la)
    flac = la.resolve() / "ASVspoof2021_LA_eval" / "flac"
    conditions = {"codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "subset": "eval"}
    assert corpus.splits["eval"][0] == Utterance("LA_E_1", flac / "LA_E_1.flac", 0, "LA_0009", "A07", conditions)
    assert [(one.name, one.label, one.attack) for one in corpus.splits["eval"][1:]] == [
        ("LA_E_2", 0, "A17"),
        ("LA_E_3", 1, "-"),
        ("LA_E_4", 1, "-"),
    ]
    assert corpus.splits["eval"][3].conditions["transmission"] == "-"
    assert corpus.asv_scores == {}


def test_la_has_scores_of_speaker_verification_where_they_are(la: Path) -> None:
    path = write_2021(la)
    assert asvspoof2021.read(la).asv_scores == {"eval": path.resolve()}
    other = la.parent / "scores elsewhere.txt"
    path.rename(other)
    path.symlink_to(other)
    assert faults_of(la) == (f"{path.relative_to(la)}: {OUTSIDE}",)


def test_df_has_conditions_of_its_own_and_audio_in_parts(df: Path) -> None:
    corpus = asvspoof2021.read(df, variant="DF")
    first, second, third = corpus.splits["eval"]
    part = df.resolve() / "ASVspoof2021_DF_eval_part01" / "ASVspoof2021_DF_eval" / "flac"
    assert (first.path, first.attack) == (part / "DF_E_2.flac", "Task1-team20")
    assert first.conditions == {
        "compression": "low_m4a",
        "source": "vcc2020",
        "trim": "notrim",
        "subset": "eval",
        "vocoder": "neural_vocoder_nonautoregressive",
        "task": "Task1",
        "team": "team20",
        "gender_pair": "FF",
        "language": "E",
    }
    assert second.path.parent != part
    assert (third.label, third.attack, third.conditions["vocoder"]) == (1, "-", "-")


@pytest.mark.parametrize(
    ("subset", "expected"), [("", "1234"), ("eval", "1234"), ("progress", "56"), ("hidden", "78"), ("all", "12345678")]
)
def test_subsets(la: Path, subset: str, expected: str) -> None:
    utterances = asvspoof2021.read(la, subset=subset).splits["eval"]
    assert [one.name for one in utterances] == [f"LA_E_{number}" for number in expected]


def to_stage_1(root: Path) -> None:
    (root / "keys" / "CM").mkdir()
    text = (root / KEYS).read_text().replace("hidden", "hidden_track")
    shutil.rmtree(root / "keys" / "LA")
    (root / "keys" / "CM" / "trial_metadata.txt").write_text(text)


def into_the_audio_folder(root: Path) -> None:
    shutil.move(root / "keys", root / "ASVspoof2021_LA_eval" / "keys")


def as_packed(root: Path) -> None:
    (root / "LA-keys-full").mkdir()
    shutil.move(root / "keys", root / "LA-keys-full" / "keys")


@pytest.mark.parametrize("moved", [to_stage_1, into_the_audio_folder, as_packed])
@pytest.mark.parametrize("subset", ["eval", "hidden"])
def test_keys_lie_in_several_places(la: Path, moved: Callable[[Path], None], subset: str) -> None:
    before = asvspoof2021.read(la, subset=subset)
    moved(la)
    assert asvspoof2021.read(la, subset=subset).splits == before.splits


def test_root_may_be_the_folder_of_the_audio_and_files_may_be_wav(la: Path) -> None:
    into_the_audio_folder(la)
    inner = la / "ASVspoof2021_LA_eval"
    (inner / "flac").rename(inner / "wav")
    for file in (inner / "wav").iterdir():
        file.rename(file.with_suffix(".wav"))
    corpus = asvspoof2021.read(inner)
    assert [one.path.name for one in corpus.splits["eval"]][:2] == ["LA_E_1.wav", "LA_E_2.wav"]


def test_stage_1_of_df_has_eight_columns(df: Path) -> None:
    keys = df / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt"
    write_lines(keys, (" ".join(line.split()[:8]) for line in DF_2021))
    corpus = asvspoof2021.read(df, variant="DF")
    assert list(corpus.splits["eval"][0].conditions) == ["compression", "source", "trim", "subset"]


FAULTS = {
    "columns": ("LA_1 LA_E_9 alaw A07 spoof notrim eval", "7 columns; must be 8: SPEAKER FILE CODEC TRANSMISSION"),
    "key": ("LA_1 LA_E_9 alaw ita_tx A07 perhaps notrim eval", "key must be bonafide or spoof; got 'perhaps'"),
    "attack": (
        "LA_1 LA_E_9 alaw ita_tx - spoof notrim eval",
        "attack must be - for bonafide and a name for spoof; got '-'",
    ),
    "subset": ("LA_1 LA_E_9 alaw ita_tx A07 spoof notrim dev", "subset must be one of eval, progress, hidden"),
    "path": ("LA_1 ../LA_E_9 alaw ita_tx A07 spoof notrim eval", "file must be a name without a path; got '../LA_E_9'"),
    "twice": ("LA_1 LA_E_1 alaw ita_tx A07 spoof notrim eval", f"duplicate utterance LA_E_1, first in {KEYS}:1"),
    "missing": ("LA_1 LA_E_9 alaw ita_tx A07 spoof notrim eval", "ASVspoof2021_LA_eval/flac/LA_E_9.flac is missing"),
}


def test_all_faults_come_at_once_each_with_its_line(la: Path) -> None:
    write_lines(la / KEYS, [*LA_2021, *(line for line, _ in FAULTS.values())])
    faults = faults_of(la)
    assert len(faults) == len(FAULTS)
    for number, (_, fault) in enumerate(FAULTS.values(), len(LA_2021) + 1):
        assert any(one.startswith(f"{KEYS}:{number}: {fault}") for one in faults), fault


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("LA_0079 LA_T_1 - - bonafide", "this is read by --corpus asvspoof2019-la"),
        ("D_4461 D_0000000169 F - - - AC1 A14 spoof -", "this is read by --corpus asvspoof5"),
        (DF_2021[0], "this is read by --corpus asvspoof2021-df"),
        ("", "is empty; a list has a line for each utterance"),
    ],
)
def test_a_list_of_another_corpus_is_one_fault_with_its_option(la: Path, line: str, cure: str) -> None:
    write_lines(la / KEYS, [line] * 9)
    (fault,) = faults_of(la)
    assert fault.endswith(cure)


def test_what_is_not_there_is_one_fault_that_says_where_to_get_it(la: Path) -> None:
    shutil.rmtree(la / "ASVspoof2021_LA_eval")
    (la / KEYS).unlink()
    keys, audio = sorted(fault.partition(": ")[2] for fault in faults_of(la))[::-1]
    assert keys.startswith("has no keys/LA/CM/trial_metadata.txt: unpack LA-keys-full.tar.gz")
    assert audio.startswith("has no ASVspoof2021_LA_eval/flac: unpack")


def test_a_subset_without_lines_says_which_there_are(la: Path) -> None:
    write_lines(la / KEYS, LA_2021[:6])
    (fault,) = faults_of(la, subset="hidden")
    assert (
        fault == f"{KEYS}: no line has subset hidden; lines by subset: eval 4, progress 2: choose another by --subset"
    )


def test_bad_arguments(la: Path) -> None:
    with pytest.raises(DropinError, match="variant must be one of LA, DF; got 'PA'"):
        asvspoof2021.read(la, variant="PA")
    with pytest.raises(DropinError, match="subset must be one of eval, progress, hidden, all; got 'dev'"):
        asvspoof2021.read(la, subset="dev")
