"""Files of Ray on this machine: made for its user alone, and what the user chose is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from search.cluster.local_ray import ensure_token, login_command, temp_dir
from search.cluster.ray_cluster import local_ray, prepare
from trainables.errors import DropinError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variable that says where anything is."""
    for name in [*(name for name in os.environ if name.startswith("RAY_")), "RAY_AUTH_MODE"]:
        monkeypatch.setenv(name, "")  # so that what the test leaves is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(local_ray, "TEMP_ROOT", tmp_path)
    return tmp_path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_is_made_for_its_user_alone(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    ensure_token()
    first = token.read_text()
    assert len(bytes.fromhex(first)) == 32
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)
    assert list(token.parent.iterdir()) == [token]
    ensure_token()
    assert token.read_text() == first


def test_a_token_that_others_could_read_is_kept_and_closed(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("as Ray wrote it")
    token.chmod(0o644)
    ensure_token()
    assert (token.read_text(), mode(token)) == ("as Ray wrote it", 0o600)


def test_a_token_in_a_closed_folder_is_left_as_it_is(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o700)
    token.write_text("read in containers, too")
    token.chmod(0o644)
    ensure_token()
    assert (token.read_text(), mode(token)) == ("read in containers, too", 0o644)


@pytest.mark.parametrize("why", ["a file", "another user's", "another user's token", "no home"])
def test_a_token_without_a_home_for_it_is_in_the_private_folder(
    why: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = home / ".ray" / "auth_token"
    if why == "a file":
        (home / ".ray").write_text("no folder")
    elif why == "no home":

        def unknown() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", unknown)
    else:
        others = home if why == "another user's" else default
        if others == default:
            default.parent.mkdir()
            default.write_text("theirs")
        monkeypatch.setattr(local_ray, "owner", lambda path: os.getuid() + (path == others) * 4321)
    private = home / f"ray-{os.getuid()}"
    for _ in range(2):  # the next run finds it
        monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
        prepare(None)
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(private / "auth_token")
    assert local_ray.token_file() == private / "auth_token"
    assert (mode(private), mode(private / "auth_token")) == (0o700, 0o600)
    assert len((private / "auth_token").read_text()) == 64
    assert not default.exists() if why != "another user's token" else default.read_text() == "theirs"


def test_how_to_log_in_names_the_file_of_the_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert login_command("ray") == "ray get-auth-token"
    assert login_command("/my venv/ray") == "'/my venv/ray' get-auth-token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/tmp/my token")
    assert login_command("ray") == "RAY_AUTH_TOKEN_PATH='/tmp/my token' ray get-auth-token"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert login_command("ray") == "ray get-auth-token"


def test_where_nothing_can_be_private_the_way_out_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "TEMP_ROOT", home / "nothing")
    with pytest.raises(DropinError, match="set RAY_TMPDIR and RAY_AUTH_TOKEN_PATH"):
        temp_dir()


def test_a_token_that_the_user_keeps_elsewhere_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = home / "mine"
    mine.write_text("mine")
    mine.chmod(0o640)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(mine))
    ensure_token()
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    ensure_token()
    assert mode(mine) == 0o640
    assert not (home / ".ray").exists()


@pytest.mark.parametrize(
    ("address", "auth", "made"), [(None, None, True), ("auto", None, False), (None, "disabled", False)]
)
def test_a_token_is_made_where_one_is_asked_for(
    address: str | None, auth: str | None, made: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if auth:
        monkeypatch.setenv("RAY_AUTH_MODE", auth)
    prepare(address)
    assert (home / ".ray" / "auth_token").is_file() is made


def test_the_temporary_folder_is_the_users_alone(home: Path) -> None:
    place = home / f"ray-{os.getuid()}"
    first = temp_dir()
    assert first == str(place / "ray")
    assert mode(place) == 0o700
    Path(first).mkdir()
    Path(first).chmod(0o777)  # as Ray does
    assert temp_dir() == first


@pytest.mark.parametrize("made", ["open", "link", "file"])
def test_a_folder_that_others_made_first_is_not_used(made: str, home: Path) -> None:
    place = home / f"ray-{os.getuid()}"
    if made == "open":
        place.mkdir()
        place.chmod(0o777)
    elif made == "file":
        place.touch()
    else:
        (home / "theirs").mkdir(mode=0o700)
        place.symlink_to(home / "theirs")
    other = temp_dir()
    assert other is not None
    assert Path(other).parent != place
    assert mode(Path(other).parent) == 0o700


def test_a_folder_that_the_user_chose_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/mine")
    assert temp_dir() is None
