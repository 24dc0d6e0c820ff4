"""The official tree: every fault of one that is not quite right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asvspoof_tree import PROTOCOLS, TRAIN, append, list_of, make_tree
from trainables.corpora import asvspoof2019
from trainables.corpora.corpus import CorpusError
from trainables.printable import printable

Change = Callable[[Path], object]
DEV = f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.dev.trl.txt"


def remove(name: str) -> Change:
    def change(tree: Path) -> None:
        path = tree / name
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        else:
            path.unlink()

    return change


def listed(split: str, text: str | bytes) -> Change:
    return lambda tree: append(list_of(tree, split), text)


FAULTS: dict[str, tuple[Change, str]] = {
    "no folder": (remove("ASVspoof2019_LA_dev/flac"), "LA/ASVspoof2019_LA_dev/flac: no such folder"),
    "no protocol": (
        remove(f"{PROTOCOLS}/ASVspoof2019.LA.cm.dev.trl.txt"),
        f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.dev.trl.txt: no such protocol",
    ),
    "eval without protocol": (
        remove(f"{PROTOCOLS}/ASVspoof2019.LA.cm.eval.trl.txt"),
        f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.eval.trl.txt: no such protocol",
    ),
    "eval without folder": (remove("ASVspoof2019_LA_eval/flac"), "LA/ASVspoof2019_LA_eval/flac: no such folder"),
    "file missing": (
        remove("ASVspoof2019_LA_train/flac/LA_T_2.flac"),
        f"{TRAIN}:2: LA/ASVspoof2019_LA_train/flac/LA_T_2.flac is missing",
    ),
    "file unreadable": (
        lambda tree: (tree / "ASVspoof2019_LA_train/flac/LA_T_1.flac").write_text("no audio at all"),
        f"{TRAIN}:1: LA/ASVspoof2019_LA_train/flac/LA_T_1.flac cannot be read",
    ),
    "file empty": (
        lambda tree: (tree / "ASVspoof2019_LA_train/flac/LA_T_1.flac").write_bytes(b""),
        f"{TRAIN}:1: LA/ASVspoof2019_LA_train/flac/LA_T_1.flac is empty",
    ),
    "four columns": (listed("train", "LA_1 LA_T_3 A01 spoof\n"), f"{TRAIN}:3: 4 columns; must be 5: SPEAKER FILE -"),
    "six columns": (listed("train", "\nLA_1 LA_T_3 - - A01 spoof\n"), f"{TRAIN}:4: 6 columns; must be 5"),
    "unknown key": (
        listed("train", "LA_1 LA_T_3 - A01 odd\n"),
        f"{TRAIN}:3: key must be bonafide or spoof; got 'odd'",
    ),
    "bona fide by an attack": (
        listed("train", "LA_1 LA_T_3 - A01 bonafide\n"),
        f"{TRAIN}:3: attack must be - for bonafide; got 'A01' with bonafide",
    ),
    "twice in a split": (
        listed("train", "LA_0001 LA_T_1 - - bonafide\n"),
        f"{TRAIN}:3: duplicate utterance LA_T_1, first in {TRAIN}:1",
    ),
    "in two splits": (
        listed("dev", "LA_0001 LA_T_1 - - bonafide\n"),
        f"LA/{PROTOCOLS}/ASVspoof2019.LA.cm.dev.trl.txt:3: duplicate utterance LA_T_1, first in {TRAIN}:1",
    ),
    "one class": (
        lambda tree: list_of(tree, "train").write_text("LA_0001 LA_T_1 - - bonafide\n"),
        "train: a split needs both classes; it has no spoof utterance",
    ),
    "empty protocol": (
        lambda tree: list_of(tree, "train").write_text(""),
        "train: a split needs both classes; it has no bona fide and no spoof utterance",
    ),
    "Latin-1": (
        listed("train", "LA_1 LA_T_\xe9 - A01 spoof\n".encode("latin-1")),
        f"{TRAIN}:3: text must be UTF-8, and this line is not (invalid continuation byte): save the file as UTF-8",
    ),
    "UTF-16 without mark": (
        lambda tree: list_of(tree, "train").write_bytes(list_of(tree, "train").read_text().encode("utf-16-le")),
        f"{TRAIN}: text must be UTF-8; this is UTF-16 without a byte order mark: save the file as UTF-8",
    ),
    "header in another order": (
        lambda tree: list_of(tree, "train").write_text("file label speaker attack env\n"),
        f"{TRAIN}: its columns must be SPEAKER FILE - ATTACK KEY, in this order; its header is file label speaker",
    ),
    "name leaves the folder": (
        listed("train", "LA_1 ../flac/LA_T_1 - A01 spoof\n"),
        f"{TRAIN}:3: file must be a name without a path; got '../flac/LA_T_1'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_named_with_file_and_line(tmp_path: Path, name: str) -> None:
    change, expected = FAULTS[name]
    change(make_tree(tmp_path) / "LA")
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path)
    assert len(info.value.faults) == 1
    assert info.value.faults[0].startswith(expected)
    assert str(tmp_path.resolve()) in str(info.value)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    tree = make_tree(tmp_path) / "LA"
    together = ("eval without folder", "file unreadable", "file missing", "four columns", "in two splits")
    for name in together:
        FAULTS[name][0](tree)
    append(list_of(tree, "train"), "LA_1 a/b/c - A01 odd\n")
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path)
    expected = [FAULTS[name][1] for name in together]
    expected += [f"{TRAIN}:4: key must be", f"{TRAIN}:4: file must be"]
    assert len(info.value.faults) == len(expected)
    for fault in expected:
        assert any(found.startswith(fault) for found in info.value.faults), fault


@pytest.mark.parametrize(
    ("line", "corpus"),
    [
        (
            "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval",
            "ASVspoof 2021 LA has: read it by --corpus asvspoof2021-la",
        ),
        (
            "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress",
            "ASVspoof 2021 DF has: read it by --corpus asvspoof2021-df",
        ),
        (
            "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
            "ASVspoof 2021 DF has: read it by --corpus asvspoof2021-df",
        ),
        ("T_4850 T_0000000000 F - - - AC3 A05 spoof -", "ASVspoof 5 has: read it by --corpus asvspoof5"),
    ],
)
def test_protocols_of_other_challenges_are_named(tmp_path: Path, line: str, corpus: str) -> None:
    list_of(make_tree(tmp_path) / "LA", "dev").write_text(f"{line}\n" * 100)
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path)
    (fault,) = info.value.faults
    assert fault == f"{DEV}: has {len(line.split())} columns, as {corpus}"


@pytest.mark.parametrize(
    ("place", "name"), [("ASVspoof2021_LA_eval/flac", "asvspoof2021-la"), ("ASVspoof5.train.tsv", "asvspoof5")]
)
def test_the_folder_of_another_challenge_is_named(tmp_path: Path, place: str, name: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(CorpusError, match=f"it looks like another corpus: read it by --corpus {name}"):
        asvspoof2019.read(tmp_path)


def test_what_is_wrong_with_all_lines_is_one_line(tmp_path: Path) -> None:
    lines = [f"LA_1 LA_{{0}}_{n} - {'-' if n % 2 else 'A01'} {'good' if n % 2 else 'bad'}" for n in range(40)]
    make_tree(tmp_path, lines=lines, splits=("train", "dev"))
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path)
    assert info.value.faults == (
        f"{TRAIN}:1: key must be bonafide or spoof; got 'bad' (and 39 more lines like it)",
        f"{DEV}:1: key must be bonafide or spoof; got 'bad' (and 39 more lines like it)",
        *(f"{s}: a split needs both classes; it has no bona fide and no spoof utterance" for s in ("train", "dev")),
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("PA_1 PA_T_3 aad AA spoof", "environment must be aaa to ccc; got 'aad'"),
        ("PA_1 PA_T_3 - AA spoof", "environment must be aaa to ccc; got '-'"),
        ("PA_1 PA_T_3 abc A01 spoof", "attack must be AA to CC; got 'A01'"),
    ],
)
def test_physical_access_has_its_own_columns(tmp_path: Path, line: str, fault: str) -> None:
    make_tree(tmp_path, "PA")
    append(list_of(tmp_path / "PA", "train", "PA"), f"{line}\n")
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path, variant="PA")
    assert info.value.faults == (f"PA/ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.train.trn.txt:3: {fault}",)


def test_bad_files_may_be_skipped(tmp_path: Path) -> None:
    lines = [f"LA_1 LA_{{0}}_{n} - {'-' if n % 2 else 'A01'} {'bonafide' if n % 2 else 'spoof'}" for n in range(40)]
    make_tree(tmp_path, lines=lines)
    (tmp_path / "LA" / "ASVspoof2019_LA_dev" / "flac" / "LA_D_7.flac").unlink()
    corpus = asvspoof2019.read(tmp_path, skip_bad_files=True)
    assert len(corpus.splits["dev"]) == 39
    assert len(corpus.skipped) == 1
    assert "LA_D_7.flac is missing" in corpus.skipped[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.text("./\\ab\0", min_size=1, max_size=8)
    | st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=8)
)
def test_no_name_leaves_its_folder(tmp_path: Path, name: str) -> None:
    if not (tmp_path / "LA").exists():
        make_tree(tmp_path, lines=["LA_1 LA_{0}_1 - - bonafide", "LA_1 LA_{0}_2 - A01 spoof"])
    path = list_of(tmp_path / "LA", "train")
    path.write_text(f"LA_1 LA_T_1 - - bonafide\nLA_1 {name} - A01 spoof\n", encoding="utf-8")
    *folders, last = name.replace("\\", "/").split("/")
    bare = len(folders) < 2 and "\0" not in name and not {"", ".", ".."} & {*folders, last}
    with pytest.raises(CorpusError) as info:
        asvspoof2019.read(tmp_path)
    if bare:
        assert "is missing" in str(info.value)
        assert f"ASVspoof2019_LA_train/flac/{printable(last)}.flac" in str(info.value)
    else:
        assert any(fault.startswith(f"{TRAIN}:2: file must be a name without a path") for fault in info.value.faults)
        assert "is missing" not in str(info.value)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="variant must be one of LA, PA; got 'la'"):
        asvspoof2019.read(tmp_path, variant="la")
    with pytest.raises(CorpusError, match="no such folder"):
        asvspoof2019.read(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="neither it nor its LA has ASVspoof2019_LA_cm_protocols"):
        asvspoof2019.read(tmp_path)
