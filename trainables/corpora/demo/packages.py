"""Debian packages without root: installed ones are used, others are downloaded and unpacked in a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from trainables.corpora.corpus import Unavailable
from trainables.printable import printable

INSTALLED = Path("/")
_SIMULATE_TIMEOUT, _UPDATE_TIMEOUT, _DOWNLOAD_TIMEOUT = 60, 120, 600


@dataclass(frozen=True)
class Group:
    """Packages that serve one purpose.

    Attributes:
        name: of the group.
        packages: names of the packages.
        files: a glob pattern of each package's file, relative to the root; the group is installed if all match.
        depends: whether the packages are programs, whose dependencies are downloaded too.
    """

    name: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    depends: bool = False

    def complete(self, root: Path) -> bool:
        """Whether the files of all packages exist."""
        return all(next(root.glob(pattern), None) is not None for pattern in self.files)


class Packages:
    """Provides groups of packages, installed in ``/`` or unpacked in a folder that a later process can reuse."""

    def __init__(self, folder: Path) -> None:
        """Unpack in ``folder/tree`` and keep apt's own state in ``folder/apt``."""
        self.tree = folder / "tree"
        self._folder = folder
        self._own_lists = False

    def provide(self, group: Group) -> Path:
        """Download and unpack a group unless it is installed.

        Returns:
            The root of its files: ``/`` or the tree.

        Raises:
            Unavailable: it is not installed and cannot be downloaded.
        """
        if group.complete(INSTALLED):
            return INSTALLED
        marker = self._folder / f"{group.name}.done"
        if not marker.exists():
            debs = self._fetch(group)
            if not group.complete(self.tree):
                raise Unavailable(f"packages {', '.join(group.packages)} do not contain {', '.join(group.files)}")
            marker.write_text("".join(f"{deb}\n" for deb in debs), encoding="utf-8")
        return self.tree

    def versions(self, group: Group) -> list[str]:
        """Name and version of every package of a provided group."""
        marker = self._folder / f"{group.name}.done"
        if marker.exists():
            return marker.read_text(encoding="utf-8").splitlines()
        return self._run(
            ["dpkg-query", "-W", "-f", "${Package}_${Version}_${Architecture}\\n", *group.packages], 60
        ).splitlines()

    def _fetch(self, group: Group) -> list[str]:
        """Download and unpack; names of the package files."""
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise Unavailable(f"{group.packages[0]} cannot be downloaded without {program}")
        try:
            debs = self._download(group)
        except Unavailable:
            # The system's package lists may be missing or outdated: download our own and retry.
            if self._own_lists:
                raise
            self._own_lists = True
            debs = self._download_anew(group)
        self.tree.mkdir(parents=True, exist_ok=True)
        for deb in debs:
            self._check_members(deb)
            self._run(["dpkg-deb", "-x", str(deb), str(self.tree)], _SIMULATE_TIMEOUT)
            deb.unlink()
        return [deb.stem for deb in debs]

    def _check_members(self, deb: Path) -> None:
        """Make sure that unpacking a package writes below the tree only.

        Raises:
            Unavailable: a member would be written outside the tree, by its name or through a link.
        """
        unpacked = deb.with_suffix(".tar")
        with unpacked.open("wb") as out:
            self._run(["dpkg-deb", "--fsys-tarfile", str(deb)], _SIMULATE_TIMEOUT, out=out)
        try:
            with tarfile.open(unpacked) as members:
                fault = leaving(members, self.tree)
        except tarfile.TarError as error:
            fault = f"cannot be read ({error})"
        unpacked.unlink()
        if fault:
            raise Unavailable(f"package {deb.name} is not unpacked: {printable(fault)}")

    def _download_anew(self, group: Group) -> list[Path]:
        fault = ""
        try:
            self._run(["apt-get", "update"], _UPDATE_TIMEOUT)
        except Unavailable as error:
            # One failing source fails the whole update; the lists of the others may suffice.
            fault = f"; {error}"
        try:
            return self._download(group)
        except Unavailable as error:
            raise Unavailable(f"{error}{fault}") from error

    def _download(self, group: Group) -> list[Path]:
        names = [*group.packages, *(self._dependencies(group.packages) if group.depends else ())]
        debs = self._folder / "debs"
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir(parents=True)
        self._run(["apt-get", "download", *dict.fromkeys(names)], _DOWNLOAD_TIMEOUT, debs)
        return sorted(debs.glob("*.deb"))

    def _dependencies(self, names: Sequence[str]) -> list[str]:
        """The packages that apt would install for these, including themselves."""
        simulation = self._run(
            ["apt-get", "install", "--simulate", "--no-install-recommends", *names], _SIMULATE_TIMEOUT
        )
        return re.findall(r"^Inst (\S+) \(", simulation, re.MULTILINE)

    def _run(
        self, command: Sequence[str], timeout: float, folder: Path | None = None, out: IO[bytes] | None = None
    ) -> str:
        """Run a program and return its output, which is written to `out` instead if given."""
        if command[0] == "apt-get":
            command = [command[0], *self._options(), *command[1:]]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        what = " ".join(
            word for word in command if not word.startswith(("-", "Dir::", "Acquire::", "APT::", "Debug::"))
        )
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out or subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=timeout,
                text=True,
                errors="replace",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{what} failed: {error}") from error
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
            raise Unavailable(f"{what} failed: {errors[0] if errors else f'exit status {done.returncode}'}")
        return done.stdout or ""

    def _options(self) -> list[str]:
        state = self._folder / "apt"
        settings = {
            "Dir::Cache": state / "cache",
            # Container images disable these two, and then every call parses all lists again.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Debug::NoLocking": "true",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "1",
            "Acquire::http::Timeout": "10",
            "Acquire::https::Timeout": "10",
            "APT::Update::Error-Mode": "any",
        }
        if self._own_lists:
            settings["Dir::State::lists"] = state / "lists"
        for folder in ("cache/archives/partial", "lists/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def leaving(members: Iterable[tarfile.TarInfo], tree: Path) -> str | None:
    """The first member of an archive that would be written outside `tree`, and why; ``None`` if there is none.

    A member may be a symbolic link to any path, as in many packages. But no member may be written through a link, of
    the archive or of the tree, and a hard link must have a target in the tree.
    """
    links: set[PurePosixPath] = set()
    for member in members:
        for name in (member.name, *([member.linkname] if member.islnk() else ())):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                return f"{name} leaves the folder"
            if path.parts and (links & {*path.parents} or not _stays((tree / path).parent, tree)):
                return f"{name} goes through a link"
        if member.issym():
            links.add(PurePosixPath(member.name))
        elif not (member.isreg() or member.isdir() or member.islnk()):
            return f"{member.name} is neither a file, a folder nor a link"
    return None


def _stays(folder: Path, tree: Path) -> bool:
    try:
        return folder.resolve().is_relative_to(tree.resolve())
    except (OSError, RuntimeError):  # a cycle of links
        return False
