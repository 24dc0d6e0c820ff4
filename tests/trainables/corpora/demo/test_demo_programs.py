"""What the demo corpus runs: programs that speak, and packages, which are fetched and unpacked into a folder."""

from __future__ import annotations

import stat
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trainables.corpora.corpus import Unavailable
from trainables.corpora.demo import packages, synthesizers


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


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
    with pytest.raises(Unavailable, match=f"is not unpacked: .*{fault}"):
        packages.Packages(work).provide(SPEAK)
    assert [path.name for path in (work / "tree").iterdir()] == ["old"]


def test_what_is_no_archive_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_programs(tmp_path, HONEST)
    (tmp_path / "members.tar").write_bytes(b"no archive" * 100)
    (tmp_path / "updated").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(Unavailable, match="is not unpacked: cannot be read"):
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
