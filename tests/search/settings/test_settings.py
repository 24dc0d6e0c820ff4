from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st

import project_file
from runs import execution, plan_config, run_all
from search.settings.command_line import make_parser, parse, read
from search.settings.options import SAMPLERS, Settings, default_cache, options
from search.settings.together import MAX_SEED
from search.storage.bucket_pull import local_folder
from search.tuning.samplers import make_sampler
from trainables import models
from trainables.errors import DropinError


def given(tmp_path: Path, *more: str) -> Settings:
    return parse(["--storage", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"), *more])


def test_defaults_are_a_complete_run_on_the_demo_corpus(tmp_path: Path) -> None:
    settings = given(tmp_path)
    assert (settings.space, settings.model, settings.corpus) == ("plasticity", "resnet18", "demo")
    assert settings.model_option["width"] == 16
    assert settings.corpus_root is None
    assert settings.trials is not None
    assert settings.trials >= 12
    assert settings.run_folder == tmp_path / "runs" / settings.name


@pytest.mark.parametrize("model", models.NAMES)
def test_every_model_has_defaults_that_it_takes(model: str, tmp_path: Path) -> None:
    assert given(tmp_path, "--model", model).model_option


def test_all_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("speech").mkdir()
    options = ["--corpus", "asvspoof2019-la", "--corpus-root", "speech", "--storage", "r", "--cache", "c"]
    settings = parse(options)
    assert settings.corpus_root == tmp_path / "speech"
    assert settings.storage == tmp_path / "r"
    assert settings.cache == tmp_path / "c"


def test_json_round_trip(tmp_path: Path) -> None:
    settings = given(tmp_path, "--minutes", "2.5", "--max-parameters", "7", "--model-option", "width=8")
    assert Settings.from_json(settings.to_json()) == settings


def test_runs_to_learn_from_are_absolute_folders_or_uris_and_stay_so(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = given(tmp_path, "--warm-start", "runs/first", f"{bucket}/runs/second/")
    assert settings.warm_start == (tmp_path / "runs" / "first", f"{bucket}/runs/second")
    text = settings.to_json()
    assert Settings.from_json(text) == settings
    assert not [secret for secret in ("tester", "guess-me") if secret in text]


@pytest.mark.parametrize("runs", ["runs/first", [7], [None]])
def test_what_is_no_list_of_runs_is_refused(runs: object, tmp_path: Path) -> None:
    changed = {**json.loads(given(tmp_path).to_json()), "warm_start": runs}
    with pytest.raises(ValueError, match="not the settings of a run"):
        Settings.from_json(json.dumps(changed))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"space": "dropin"}'])
def test_what_is_not_settings_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the settings of a run"):
        Settings.from_json(text)


def test_model_options_are_json_or_text_and_complete_the_defaults(tmp_path: Path) -> None:
    assert given(tmp_path, "--model-option", "width=24").model_option["width"] == 24
    assert given(tmp_path, "--model", "grnn").model_option["layers"] == [64, 64, 32, 32]


def test_minutes_without_trials_means_no_limit_of_trials(tmp_path: Path) -> None:
    assert given(tmp_path, "--minutes", "3").trials is None
    assert given(tmp_path, "--minutes", "3", "--trials", "5").trials == 5


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPIN_CACHE", "/somewhere")
    assert default_cache() == Path("/somewhere")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--space", "bigger"], "bigger"),
        (["--model", "vgg"], "vgg"),
        (["--corpus", "mine"], "mine"),
        (["--sampler", "grid"], "grid"),
        (["--trials", "0"], "whole number of at least 1; got '0'"),
        (["--trials", "many"], "whole number of at least 1; got 'many'"),
        (["--epochs", "1"], "at least 2; got '1'"),
        (["--minutes", "0"], "above 0; got '0'"),
        (["--minutes", "inf"], "above 0; got 'inf'"),
        (["--size-weight", "-1"], "at least 0; got '-1'"),
        (["--gpus-per-trial", "nan"], "at least 0; got 'nan'"),
        (["--seed", "99999999999999999"], "whole number from 0 to 9007199254740991; got '99999999999999999'"),
        (["--seed", "-1"], "whole number from 0 to 9007199254740991; got '-1'"),
        (["--seed", "9007199254740989", "--confirm", "3"], "got 3 after 9007199254740989: choose a smaller --seed"),
        (["--model-option", "width"], "KEY=VALUE"),
        (["--model-option", "colour=red"], "colour"),
        (["--model-option", "width=2"], "got 2"),
        (["--name", "a/b"], "got 'a/b'"),
        (["--address", "ray://host:1"], "auto or HOST:PORT; got 'ray://host:1'"),
        (["--corpus", "asvspoof2019-la"], "add --corpus-root"),
        (["--corpus-root", "."], "leave --corpus-root out"),
        (["--corpus", "fake-or-real", "--corpus-root", "/no/such/place"], "/no/such/place"),
        (["--corpus", "in-the-wild", "--corpus-root", "."], "has an eval split only: search on another corpus and"),
        (["--subset", "dev"], "must be one of eval, progress, hidden, all; got 'dev'"),
        (["--subset", "eval"], "corpus demo takes no --subset; got eval: leave it out"),
        (["--corpus", "manifest", "--corpus-root", ".", "--split-shares", "1,1,1"], "with the sum 1"),
        (["--resume", "nothing"], "nothing"),
        (["--trails", "3"], "--trails"),
        (["--storage", "ftp://host/runs"], "got ftp://host/runs"),
    ],
)
def test_bad_options_end_with_code_2_and_one_message(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        given(tmp_path, *arguments)
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert said in output.err
    assert not output.out


def stored(tmp_path: Path, *more: str) -> Settings:
    settings = given(tmp_path, "--name", "first", "--seed", "5", *more)
    settings.run_folder.mkdir(parents=True)
    settings.paths.settings.write_text(settings.to_json())
    return settings


def test_default_names_differ_within_a_second() -> None:
    names = {Settings().name for _ in range(20)}
    assert len(names) > 10
    assert all(re.fullmatch(r"plasticity-resnet18-demo-\d{8}-\d{6}-[0-9a-f]{4}", name) for name in names)


def test_the_largest_seed_does_for_every_generator() -> None:
    plan = plan_config("plasticity", 3, grow={"gru.0": 2}, grow_epoch=1, rule="split")
    results = run_all(execution(plan, seed=MAX_SEED))
    assert len(results) == 3
    for sampler in SAMPLERS:
        assert make_sampler(sampler, MAX_SEED, 10**6, 4) is not None


def test_settings_of_another_version_are_read_and_what_is_not_known_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = given(tmp_path, "--name", "other", "--seed", "5")
    data = json.loads(settings.to_json())
    del data["prunings_per_growth"], data["part"]
    text = json.dumps({**data, "colour": "red", "a\x1b[2J": 1})
    for _ in range(2):
        assert Settings.from_json(text) == settings
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "settings.json of run 'other' is of another version: it has a\\x1b[2J, colour, not known here and ignored; "
        "it lacks part, prunings_per_growth, which take their defaults"
    )


@pytest.mark.parametrize("name", ["space", "model", "corpus", "storage", "name"])
def test_settings_that_do_not_say_what_the_run_is_are_refused(name: str, tmp_path: Path) -> None:
    data = json.loads(given(tmp_path).to_json())
    del data[name]
    with pytest.raises(DropinError, match=f"not the settings of a run: {name} missing"):
        Settings.from_json(json.dumps(data))


def test_a_run_is_monitored_when_it_is_asked_for_and_stays_so_when_resumed(tmp_path: Path) -> None:
    settings = stored(tmp_path)
    resume = ["--resume", str(settings.run_folder)]
    assert not settings.monitor
    assert not parse(resume).monitor
    asked = parse([*resume, "--monitor"])
    assert asked.monitor
    settings.paths.settings.write_text(asked.to_json())
    assert parse(resume).monitor


def test_with_a_storage_the_run_is_in_the_cache(bucket: str, tmp_path: Path) -> None:
    settings = parse(["--storage", f"{bucket}/runs/", "--name", "one", "--cache", str(tmp_path)])
    assert (settings.bucket, settings.run_uri) == (f"{bucket}/runs", f"{bucket}/runs/one")
    assert settings.run_folder == local_folder(f"{bucket}/runs/one", tmp_path)
    assert not settings.no_shared_filesystem
    assert replace(settings, address="auto").no_shared_filesystem
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize("option", ["--storage", "--resume", "--warm-start"])
def test_credentials_on_the_command_line_are_refused_and_not_repeated(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([option, "s3://AKIA123:hush@bucket/runs"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no credentials" in said
    assert "hush" not in said


def test_reading_the_command_line_takes_no_torch(tmp_path: Path) -> None:
    # Ray starts between the two, while torch is imported.
    code = "import sys; from search.settings.command_line import read; read(); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "--storage", str(tmp_path)]
    assert subprocess.run(command, cwd=project_file.ROOT, check=False).returncode == 0


def test_options_of_the_model_are_checked_when_settings_are_completed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--storage", str(tmp_path / "runs"), "--model-option", "width=0"]
    settings = read(arguments)
    assert settings.model_option == {"width": 0}
    with pytest.raises(DropinError, match="width"):
        settings.completed()
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "width" in capsys.readouterr().err


def test_a_run_of_two_names_is_a_part_of_the_first(tmp_path: Path) -> None:
    own = replace(given(tmp_path, "--name", "one"), part="confirm/seed-3")
    assert own.full_name == "one/confirm/seed-3"
    assert own.run_folder == tmp_path / "runs" / "one" / "confirm" / "seed-3"


def test_every_option_has_a_field_a_help_and_a_check() -> None:
    """Each is declared once: the parser holds what the fields say, and nothing else but --resume."""
    parser = make_parser()
    taken = {action.dest: action for action in parser._actions}
    assert set(taken) == {*options(), "resume", "help"}
    text = " ".join(parser.format_help().split())
    for name, option in options().items():
        assert f"--{name.replace('_', '-')}" in text
        assert " ".join(option.full_help().split()) in text, name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1; got 0"),
        ({"trials": "6"}, "trials must be a whole number of at least 1; got '6'"),
        ({"trials": True}, "trials must be"),
        ({"epochs": None}, "epochs must be a whole number of at least 2; got None"),
        ({"minutes": float("inf")}, "minutes must be a number above 0; got inf"),
        ({"minutes": 10**400}, "minutes must be a number above 0; got 1000"),
        ({"cache": "a\0b"}, "cache must be a path; got 'a\\x00b'"),
        ({"sampler": "grid"}, "sampler must be one of tpe, nsga2, gp, random; got 'grid'"),
        ({"model_option": [("width", 4)]}, "model_option must be a mapping"),
        ({"warm_start": "runs/one"}, "warm_start must be a sequence of paths and URIs; got 'runs/one'"),
        ({"skip_bad_files": 1}, "skip_bad_files must be True or False; got 1"),
        ({"name": "a/b"}, "name must be letters, digits"),
        ({"part": "/etc"}, "part must be names of folders"),
        ({"part": "../other"}, "part must be names of folders"),
        ({"part": None}, "part must be names of folders"),
        ({"corpus": "asvspoof2019-la"}, "add --corpus-root"),
        ({"corpus_root": "."}, "leave --corpus-root out"),
        ({"controls": True}, "add --confirm 3"),
        ({"storage": "s3://key:secret@bucket/runs"}, "no credentials"),
    ],
)
def test_bad_values_are_refused_in_a_program_as_well(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DropinError) as error:
        Settings(**given)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


@given_values(st.sampled_from(sorted(options())), st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_whatever_is_given_is_taken_or_refused_with_its_name(name: str, value: object) -> None:
    settings, refused = None, ""
    try:
        settings = Settings(**{name: value})  # type: ignore[arg-type]
    except DropinError as error:
        refused = str(error)
    if settings is None:
        assert name in refused or name.replace("_", "-") in refused
    else:
        assert Settings.from_json(settings.to_json()) == settings
