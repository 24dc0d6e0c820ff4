"""Where the user's caches are when there is no home folder, or one that is not the user's."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.cluster import home, local_ray
from search.settings.options import default_cache
from trainables.errors import DropinError


@pytest.fixture
def unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No user is in the user database, and no variable says where anything is; the folder of temporary files."""

    def absent(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "DROPIN_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "SUDO_UID"):
        monkeypatch.setenv(name, "")  # so that what the test leaves is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", absent)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(local_ray, "TEMP_ROOT", tmp_path)
    return tmp_path


def test_without_a_home_the_way_out_is_said(unknown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DropinError, match=f"user id {os.getuid()}: set DROPIN_CACHE to a folder, or give --cache DIR"):
        default_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_cache() == Path("/caches/dropin")
    monkeypatch.setenv("DROPIN_CACHE", "/mine")
    assert default_cache() == Path("/mine")


def test_a_home_that_sudo_kept_is_not_written(unknown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sudo -E``: what root writes into the caller's cache the caller could not replace."""
    monkeypatch.setenv("HOME", str(unknown))
    assert default_cache() == unknown / ".cache" / "dropin"
    monkeypatch.setenv("SUDO_UID", "4321")
    monkeypatch.setattr(local_ray, "owner", lambda path: 4321)
    assert home.own_home() == unknown  # nobody knows of another
    monkeypatch.setattr(pwd, "getpwuid", lambda user: SimpleNamespace(pw_dir="/of/mine"))
    assert home.own_home() == Path("/of/mine")
    monkeypatch.setattr(local_ray, "owner", lambda path: os.getuid())  # sudo -H, or one's own folder
    assert home.own_home() == unknown


def test_libraries_get_a_private_home_where_there_is_none(unknown: Path) -> None:
    home.provide()
    assert Path.home() == unknown / f"ray-{os.getuid()}" / "home"
    assert Path.home().stat().st_mode & 0o777 == 0o700
    assert "MPLCONFIGDIR" not in os.environ


@pytest.mark.parametrize("chosen", [None, "MPLCONFIGDIR", "XDG_CONFIG_HOME"])
def test_only_matplotlib_is_helped_where_a_home_cannot_be_written(
    chosen: str | None, unknown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(unknown))
    home.provide()
    assert "MPLCONFIGDIR" not in os.environ
    monkeypatch.setattr("os.access", lambda path, how: path != unknown)
    if chosen:
        monkeypatch.setenv(chosen, "/chosen")
    home.provide()
    assert os.environ["HOME"] == str(unknown)
    expected = {None: str(unknown / f"ray-{os.getuid()}" / "matplotlib"), "MPLCONFIGDIR": "/chosen"}
    assert os.environ.get("MPLCONFIGDIR") == expected.get(chosen)
