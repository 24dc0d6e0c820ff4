"""Where a run begins: a new one takes its name, and one that goes on takes its settings from its folder."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import project_file
from mutations import outcome
from search.settings.command_line import parse, read
from search.settings.options import Settings
from search.settings.start import claim_new, give_up
from search.storage.bucket_pull import local_folder
from trainables.errors import DropinError
from trainables.storage.bucket_files import list_sizes, write_bytes


def given(tmp_path: Path, *more: str) -> Settings:
    return parse(["--storage", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"), *more])


def stored(tmp_path: Path, *more: str) -> Settings:
    settings = given(tmp_path, "--name", "first", "--seed", "5", *more)
    settings.run_folder.mkdir(parents=True)
    settings.paths.settings.write_text(settings.to_json())
    return settings


def test_storage_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(SystemExit):
        given(tmp_path)
    assert "--storage must be a folder" in capsys.readouterr().err


def test_a_name_that_is_taken_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path)
    with pytest.raises(SystemExit):
        given(tmp_path, "--name", "first")
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("held", [(), (".writer.lock",)])
def test_a_folder_with_nothing_of_a_run_in_it_is_free(held: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    for name in held:
        (folder / name).touch()
    assert read(["--storage", str(folder.parent), "--name", "first"]).run_folder == folder
    assert {path.name for path in folder.iterdir()} == {"settings.json", *held}


@pytest.mark.parametrize("name", ["notes.txt", ".hidden"])
def test_a_folder_with_something_else_in_it_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / name).touch()
    with pytest.raises(DropinError, match="--name must be new"):
        claim_new(Settings(storage=tmp_path, name="first"))


def test_of_processes_that_start_with_one_name_one_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from search.settings.command_line import read\n"
        "from search.settings import start\n"
        "checked = start.check_new\n"
        "def check_new(settings):\n"
        "    checked(settings)\n"
        "    print('checked', flush=True)\n"
        "    sys.stdin.readline()  # until all have checked\n"
        "start.check_new = check_new\n"
        "read()\n"
    )
    command = [sys.executable, "-c", code, "--storage", str(tmp_path), "--name", "one"]
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    started = [
        subprocess.Popen([*command, "--seed", str(seed)], cwd=project_file.ROOT, text=True, **pipes)  # type: ignore[call-overload]
        for seed in range(3)
    ]
    for process in started:
        assert process.stdout.readline() == "checked\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 2, 2]
    assert all("--name must be new" in text for text, code in zip(said, codes, strict=True) if code)
    settings = Settings.from_json((tmp_path / "one" / "settings.json").read_text())
    assert settings.seed == codes.index(0)


def test_of_threads_that_start_with_one_name_one_goes_on(tmp_path: Path) -> None:
    def claimed(seed: int) -> ValueError | None:
        return outcome(claim_new, Settings(storage=tmp_path, name="one", seed=seed))

    with ThreadPoolExecutor(8) as pool:
        refused = list(pool.map(claimed, range(8)))
    assert all("--name must be new" in str(error) for error in refused if error is not None)
    assert [seed for seed, error in enumerate(refused) if error is None] == [
        Settings.from_json((tmp_path / "one" / "settings.json").read_text()).seed
    ]


def test_a_name_is_free_again_when_the_run_has_not_begun(tmp_path: Path) -> None:
    settings = Settings(storage=tmp_path, name="one")
    claim_new(settings)
    (tmp_path / "one" / ".writer.lock").touch()
    give_up(settings)
    claim_new(settings)
    (tmp_path / "one" / "versions.json").touch()
    give_up(settings)
    assert settings.paths.settings.exists()


def test_a_name_in_a_storage_is_free_again_there_as_well(tmp_path: Path) -> None:
    storage = (tmp_path / "shared").as_uri()
    settings = Settings(storage=storage, name="one", cache=tmp_path / "cache")
    claim_new(settings)
    write_bytes(settings.to_json().encode(), f"{storage}/one/settings.json")
    give_up(settings)
    assert not list_sizes(f"{storage}/one")
    claim_new(settings)
    assert settings.paths.settings.exists()


@pytest.mark.parametrize(
    ("closed", "said"),
    [("cache", "--cache DIR, or set DROPIN_CACHE"), ("runs", "--storage must be a folder that can be written")],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    closed: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored(tmp_path).run_folder
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("os.access", lambda path, how: closed not in Path(path).parts)
    for arguments in (["--resume", str(folder)], ["--name", "new"]):
        with pytest.raises(SystemExit):
            given(tmp_path, *arguments) if "--name" in arguments else parse(arguments)
        error = capsys.readouterr().err
        assert said in error or ("--name" in arguments and "--storage must be a folder that can be written" in error)


@pytest.mark.parametrize("how", ["folder", "name", "moved"])
def test_resume_takes_the_settings_of_the_run(how: str, tmp_path: Path) -> None:
    settings = stored(tmp_path)
    folder = settings.run_folder
    if how == "moved":
        folder = folder.rename(tmp_path / "elsewhere")
    named = ["first", "--storage", str(settings.storage)] if how == "name" else [str(folder)]
    resumed = parse(["--resume", *named, "--trials", "99"])
    assert resumed.trials == 99
    assert resumed.seed == 5
    assert resumed.run_folder == folder


def test_a_resumed_run_may_find_its_corpus_and_cache_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("speech").mkdir()
    settings = stored(tmp_path, "--corpus", "asvspoof2019-la", "--corpus-root", "here")
    resumed = parse(["--resume", str(settings.run_folder), "--cache", "other", "--corpus-root", "speech"])
    assert resumed.cache == tmp_path / "other"
    assert resumed.corpus_root == tmp_path / "speech"


def test_a_resumed_run_whose_corpus_is_gone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here").mkdir()
    settings = stored(tmp_path, "--corpus", "asvspoof2019-la", "--corpus-root", str(tmp_path / "here"))
    (tmp_path / "here").rmdir()
    with pytest.raises(SystemExit) as ended:
        read(["--resume", str(settings.run_folder)])
    assert ended.value.code == 2
    assert f"--corpus-root must exist; got {tmp_path / 'here'}: correct the path" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_resumed_run_without_a_possible_cache_is_refused(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stored(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        read(["--resume", str(settings.run_folder), "--cache", str(tmp_path / place)])
    assert ended.value.code == 2
    assert f"--cache must be a folder that can be written; got {tmp_path / place}" in capsys.readouterr().err


def test_a_resumed_run_cannot_change_what_it_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = stored(tmp_path)
    with pytest.raises(SystemExit):
        parse(["--resume", str(settings.run_folder), "--seed", "6", "--size-weight", "1"])
    assert "--seed, --size-weight" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["uri", "name"])
def test_resume_takes_the_settings_from_the_storage(how: str, bucket: str, tmp_path: Path) -> None:
    settings = parse(["--storage", f"{bucket}/runs", "--name", "one", "--seed", "5", "--cache", str(tmp_path / "a")])
    write_bytes(settings.to_json().encode(), f"{bucket}/runs/one/settings.json")
    named = [f"{bucket}/runs/one"] if how == "uri" else ["one", "--storage", f"{bucket}/runs"]
    resumed = parse(["--resume", *named, "--cache", str(tmp_path / "b")])
    assert resumed.run_folder == local_folder(f"{bucket}/runs/one", tmp_path / "b")
    assert resumed == replace(settings, cache=tmp_path / "b")


def test_the_user_is_told_of_another_version_once_when_a_run_is_resumed(tmp_path: Path) -> None:
    settings = stored(tmp_path)
    data = json.loads(settings.to_json())
    settings.paths.settings.write_text(json.dumps({**data, "colour": "red"}))
    code = "from search.settings.command_line import read; read(); read()"
    command = [sys.executable, "-c", code, "--resume", str(settings.run_folder)]
    done = subprocess.run(command, cwd=project_file.ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.count("it has colour, not known here and ignored") == 1
