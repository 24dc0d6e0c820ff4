"""The demo corpus without a network: transcripts, recipe, packages, programs, a small build from made-up prompts."""

from __future__ import annotations

import gzip
import stat
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora import demo
from trainables.corpora.audio import SAMPLE_RATE
from trainables.corpora.corpus import SPLITS
from trainables.corpora.demo import build, channel, packages, recipe, speech, spoofs, synthesizers
from trainables.corpora.demo.speech import Prompt

ATTACKS = (*recipe.ATTACKS["seen"], *recipe.ATTACKS["unseen"])


def made_up_prompts(count: int) -> dict[str, list[Prompt]]:
    return {
        language: [
            Prompt(language, f"key-{number}", f"text {number}", Path(f"{number}.g722")) for number in range(count)
        ]
        for language in speech.VOICES
    }


def lay_prompts(root: Path, count: int) -> None:
    """A transcript and short buzzes, laid out as the packages lay out prompts."""
    words = ("".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}") for number in range(count))
    texts = {f"prompt-{word}": f"say {word}" for word in words} | {"vm-goodbye": "goodbye"}
    for language, group in speech.GROUPS.items():
        transcript, sound = (root / file for file in group.files)
        transcript.parent.mkdir(parents=True)
        transcript.write_bytes(gzip.compress("".join(f"{key}: {text}\n" for key, text in texts.items()).encode()))
        sound.parent.mkdir(parents=True)
        for number, key in enumerate(texts):
            rng = np.random.default_rng([number, len(language)])
            phase = np.cumsum(rng.uniform(80, 250) + np.zeros(SAMPLE_RATE)) / SAMPLE_RATE
            audio = 0.05 * ((phase % 1) - 0.5 + 0.1 * rng.standard_normal(SAMPLE_RATE))
            (sound.parent / f"{key}.g722").write_bytes(channel.encode_g722(audio))


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_transcript_lines() -> None:
    text = "\ufeff; Core sounds\n\nagent-pass: Enter: please.\nvm-and:and\r\nempty:\nno colon\nvm-and: again\n ; x: y\n"
    assert speech.parse_transcript(text) == {"agent-pass": "Enter: please.", "vm-and": "and", "; x": "y"}


@given(st.dictionaries(st.from_regex(r"[a-z0-9/-]+", fullmatch=True), st.from_regex(r"\w[\w :,.]*\w", fullmatch=True)))
def test_transcript_round_trip(texts: dict[str, str]) -> None:
    assert speech.parse_transcript("".join(f"{key}: {text}\n" for key, text in texts.items())) == texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Please  try again.", "Please try again."),
        ("... for ...", "for"),
        ("Ещё раз — «да»", "Ещё раз - да"),
        ("Login incorrect.  Mailbox?", "Login incorrect. Mailbox?"),
        ("Quell\u2019operatore", "Quell'operatore"),
        ("[ascending tones]", None),
        ("(1 second of silence)", None),
        ("press * to pause", None),
        ("Press 1", None),
        ("il tempo sar? esattamente", None),
        ("lost \ufffd letter", None),
        ("...", None),
    ],
)
def test_only_words_are_read_aloud(text: str, said: str | None) -> None:
    assert speech.readable(text) == said


def test_prompts_are_readable_distinct_and_neither_short_nor_long(tmp_path: Path) -> None:
    transcript, sound = (tmp_path / file for file in speech.GROUPS["it"].files)
    lines = {"a": "uno", "b": "Uno!", "c": "due", "d": "tre", "e": "quattro", "f": "[beep]", "g": "cinque", "h": "sei"}
    sizes = {"a": 8000, "b": 9000, "c": 7999, "d": 64000, "e": 64001, "f": 8000, "g": 8000}
    transcript.parent.mkdir(parents=True)
    transcript.write_bytes(gzip.compress("".join(f"{key}: {text}\n" for key, text in lines.items()).encode()))
    sound.parent.mkdir(parents=True)
    for key, size in sizes.items():
        (sound.parent / f"{key}.g722").write_bytes(bytes([ord(key)]) * size)
    (sound.parent / "g.g722").write_bytes((sound.parent / "a.g722").read_bytes())
    found = speech.prompts(tmp_path, "it")
    assert {prompt.key for prompt in found} == {"a", "d"}  # b says what a says, g sounds as a sounds


def test_recipe_counts() -> None:
    jobs = recipe.jobs(made_up_prompts(200), ATTACKS)
    counts = Counter((job.split, job.attack) for job in jobs)
    for split in SPLITS:
        group = recipe.ATTACKS["unseen" if split == "eval" else "seen"]
        assert counts.pop((split, "-")) == recipe.BONA_FIDE[split]
        each = {counts.pop((split, attack.name)) for attack in group}
        assert each == {recipe.SPOOFS[split] // len(group)}
    assert not counts
    assert len({job.name for job in jobs}) == len(jobs)
    assert jobs == recipe.jobs(made_up_prompts(200), ATTACKS)


@pytest.mark.parametrize(
    "lost", [set(), {"A01", "A02", "A07"}, {"A01", "A02", "A05", "A03", "A07", "A08", "A09", "A11"}]
)
def test_recipe_keeps_the_rules_whatever_attacks_there_are(lost: set[str]) -> None:
    available = [attack for attack in ATTACKS if attack.name not in lost]
    jobs = recipe.jobs(made_up_prompts(180), available)
    languages = {attack.name: attack.languages for attack in ATTACKS}
    copies = {attack.name for attack in ATTACKS if attack.copies}
    said: dict[str, set[Prompt]] = {}
    for split in SPLITS:
        here = [job for job in jobs if job.split == split]
        bona_fide = [job.prompt for job in here if job.attack == "-"]
        spoofs_made = [job for job in here if job.attack != "-"]
        assert len(bona_fide) == len(set(bona_fide)) == recipe.BONA_FIDE[split]
        assert len(spoofs_made) == recipe.SPOOFS[split]
        assert not {job.attack for job in here} & lost
        assert all(job.prompt.language in languages[job.attack] for job in spoofs_made)
        assert not set(bona_fide) & {job.prompt for job in spoofs_made if job.attack in copies}
        for language, share in recipe.LANGUAGES[split].items():
            assert sum(prompt.language == language for prompt in bona_fide) == share * recipe.BONA_FIDE[split]
            assert sum(job.prompt.language == language for job in spoofs_made) == share * recipe.SPOOFS[split]
        said[split] = {job.prompt for job in here}
        assert {job.speaker for job in here} == {f"LA_{speech.VOICES[one]}" for one in recipe.LANGUAGES[split]}
    assert not said["train"] & said["dev"]
    assert not (said["train"] | said["dev"]) & said["eval"]


def test_recipe_refuses_too_few_prompts() -> None:
    with pytest.raises(ValueError, match="more than 90 prompts in it; found 95"):
        recipe.jobs({**made_up_prompts(200), "it": made_up_prompts(95)["it"]}, ATTACKS)


def test_every_attack_can_be_made() -> None:
    assert {*spoofs.COPIES, *spoofs.SPEAKERS} == {attack.name for attack in ATTACKS}
    assert set(spoofs.COPIES) == {attack.name for attack in ATTACKS if attack.copies}


def test_a_program_speaks(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/cpu/espeak-ng-data").mkdir(parents=True)
    script = (
        f"#!{sys.executable}\nimport sys, wave\nprint(sys.argv[1:], file=open({str(tmp_path / 'log')!r}, 'w'))\n"
        "out = wave.open('speech.wav', 'wb')\nout.setparams((1, 2, 16000, 0, 'NONE', ''))\n"
        "out.writeframes(b'\\x00\\x10' * 800)\nout.close()\n"
    )
    program(tmp_path / "usr/bin/espeak-ng", script)
    audio = synthesizers.espeak(tmp_path, "-q ciao", voice="it", words_a_minute=150, pitch=40)
    np.testing.assert_array_equal(audio, np.full(800, 0.125, dtype=np.float32))
    log = (tmp_path / "log").read_text()
    assert f"--path={tmp_path / 'usr/lib/cpu'}" in log
    assert log.strip().endswith("'--', '-q ciao']")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (None, "cannot be run"),
        ("#!/bin/sh\necho no such voice >&2\nexit 1\n", "no such voice"),
        ("#!/bin/sh\n", "missing"),
    ],
)
def test_a_program_that_does_not_speak(tmp_path: Path, script: str | None, fault: str) -> None:
    if script is not None:
        program(tmp_path / "usr/bin/flite", script)
    with pytest.raises(synthesizers.SynthesisError, match=fault):
        synthesizers.flite(tmp_path, "hello", voice="slt", stretch=1.0)


APT = """#!/bin/sh
echo "$@" >> {folder}/log
case " $* " in
*" update "*) touch {folder}/updated ;;
*" install "*) echo "Inst libspeak1 (2.0 Debian:12 [all])"; echo "Inst speak [1.0] (2.0 Debian:12 [all])" ;;
*" download "*)
    test -e {folder}/updated || {{ echo "E: Unable to locate package speak" >&2; exit 100; }}
    touch speak_2.0_all.deb libspeak1_2.0_all.deb ;;
esac
"""
DPKG_DEB = """#!/bin/sh
case "$1" in
--fsys-tarfile) cat {members} ;;
-x) mkdir -p "$3/usr/bin" && touch "$3/usr/bin/$(basename "$2" _2.0_all.deb)" ;;
esac
"""
SPEAK = packages.Group("speak", ("speak",), ("usr/bin/speak",), depends=True)


def lay_programs(folder: Path, members: Sequence[tarfile.TarInfo]) -> None:
    """Programs that fetch packages, all of which hold these members."""
    with tarfile.open(folder / "members.tar", "w") as archive:
        for member in members:
            archive.addfile(member)
    program(folder / "bin/apt-get", APT.format(folder=folder))
    program(folder / "bin/dpkg-deb", DPKG_DEB.format(members=folder / "members.tar"))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


HONEST = (
    member(".", tarfile.DIRTYPE),
    member("./usr", tarfile.DIRTYPE),
    member("./usr/bin/speak"),
    member("./usr/bin/say", tarfile.LNKTYPE, "./usr/bin/speak"),
    member("./usr/share/voices", tarfile.SYMTYPE, "/etc/voices"),
    member("./usr/lib/libspeak.so", tarfile.SYMTYPE, "../lib/libspeak.so.1"),
)
LEAVING: dict[str, tuple[list[tarfile.TarInfo], str]] = {
    "upwards": ([member("./usr/../../speak")], "leaves the folder"),
    "from the root": ([member("/etc/passwd")], "leaves the folder"),
    "hard link upwards": ([member("./usr/x", tarfile.LNKTYPE, "../../secret")], "leaves the folder"),
    "through its own link": (
        [member("./usr/x", tarfile.SYMTYPE, "/tmp"), member("./usr/x/y")],
        "usr/x/y goes through a link",
    ),
    "hard link through a link": (
        [member("./x", tarfile.SYMTYPE, "/etc"), member("./y", tarfile.LNKTYPE, "./x/passwd")],
        "x/passwd goes through a link",
    ),
    "through a link that is there": ([member("./old/y")], "old/y goes through a link"),
    "device": ([member("./dev/sda", tarfile.BLKTYPE)], "is neither a file, a folder nor a link"),
    "its name obeys": ([member("/\x1b[2J")], r"\\x1b\[2J leaves the folder"),
}


def test_packages_as_they_are_stay_in_the_tree(tmp_path: Path) -> None:
    assert packages.leaving(HONEST, tmp_path / "tree") is None


@pytest.mark.parametrize("name", LEAVING)
def test_a_package_that_leaves_the_tree_is_not_unpacked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, fault = LEAVING[name]
    lay_programs(tmp_path, [*HONEST, *members])
    (tmp_path / "updated").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    work = tmp_path / "work"
    (work / "tree").mkdir(parents=True)
    (work / "tree" / "old").symlink_to(tmp_path)
    with pytest.raises(packages.Unavailable, match=f"is not unpacked: .*{fault}"):
        packages.Packages(work).provide(SPEAK)
    assert [path.name for path in (work / "tree").iterdir()] == ["old"]


def test_what_is_no_archive_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_programs(tmp_path, HONEST)
    (tmp_path / "members.tar").write_bytes(b"no archive" * 100)
    (tmp_path / "updated").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(packages.Unavailable, match="is not unpacked: cannot be read"):
        packages.Packages(tmp_path / "work").provide(SPEAK)


def test_packages_are_fetched_once_with_lists_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_programs(tmp_path, HONEST)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    work = tmp_path / "work"
    for _ in range(2):
        source = packages.Packages(work)
        root = source.provide(SPEAK)
        assert (root / "usr/bin/speak").exists()
        assert source.versions(SPEAK) == ["libspeak1_2.0_all", "speak_2.0_all"]
    assert not [*work.rglob("*.deb"), *work.rglob("*.tar")]
    calls = (tmp_path / "log").read_text().splitlines()
    assert [next(word for word in call.split() if word in ("update", "install", "download")) for call in calls] == [
        *("install", "download", "update", "install", "download")
    ]
    assert calls[-1].endswith("download speak libspeak1")
    assert "Dir::State::lists=" not in calls[1]
    assert f"Dir::State::lists={work}/apt/lists" in calls[-1]


def test_installed_packages_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "usr/bin/speak", "")
    monkeypatch.setattr(packages, "INSTALLED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert packages.Packages(tmp_path / "work").provide(SPEAK) == tmp_path


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "INSTALLED", tmp_path / "bare")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(demo.Unavailable, match=r"^no apt-get here to get asterisk-core-sounds-en with$"):
        demo.read(None, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache/corpora").glob("*.partial"))


def test_a_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="demo is built by this project and has no root"):
        demo.read(tmp_path, cache=tmp_path)


class Stopped(Exception):
    """Stands for Ctrl-C."""


def test_small_build_is_broken_off_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_prompts(tmp_path / "machine", 40)
    monkeypatch.setattr(packages, "INSTALLED", tmp_path / "machine")
    monkeypatch.setattr(recipe, "BONA_FIDE", {"train": 8, "dev": 4, "eval": 2})
    monkeypatch.setattr(recipe, "SPOOFS", {"train": 12, "dev": 8, "eval": 4})
    monkeypatch.setattr(packages.Packages, "versions", lambda self, group: [f"{group.name}_1"])
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    monkeypatch.setattr(build, "workers", lambda: 1)
    cache = tmp_path / "cache"

    def stop(what: str, done: int, total: int) -> None:
        if what == "making speech" and done == 5:
            raise Stopped

    with pytest.raises(Stopped):
        demo.read(None, cache=cache, progress=stop)
    (work,) = (cache / "corpora").glob("*.partial")
    half = {path.name: path.stat().st_mtime_ns for path in work.rglob("*.flac")}
    assert 5 <= len(half) < 38

    corpus = demo.read(None, cache=cache)
    assert not work.exists()
    assert {split: len(corpus.splits[split]) for split in SPLITS} == {"train": 20, "dev": 12, "eval": 6}
    made = {path.name: path.stat().st_mtime_ns for path in corpus.root.rglob("*.flac")}
    assert half.items() <= made.items()
    assert not list(corpus.root.rglob("*.unfinished"))
    # Without programs the spoofs are those of signal processing, and the note says so.
    seen = {one.attack for split in ("train", "dev") for one in corpus.splits[split]}
    assert {"-", "A04", "A06"} <= seen <= {"-", "A03", "A04", "A06"}
    for attack in ("A01", "A02", "A05", "A07", "A11"):
        assert f"without {attack} " in corpus.note
    assert "no apt-get here to get flite with" in corpus.note
    assert len((corpus.root / build.SOURCES).read_text().splitlines()) == 38

    messages: list[str] = []

    def note(what: str, done: int, total: int) -> None:
        messages.append(what)

    assert demo.read(None, cache=cache, progress=note).digest() == corpus.digest()
    assert set(messages) == {"checking audio files"}
