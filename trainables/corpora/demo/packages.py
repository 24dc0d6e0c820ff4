"""Debian packages without root: what is installed is used as it is, the rest is downloaded and unpacked in a folder."""

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
        name: what they are called here.
        packages: names of the packages.
        files: one glob pattern of files a package, below the root; all of them there means installed.
        depends: whether the packages run, so that what they depend on is fetched too.
    """

    name: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    depends: bool = False

    def complete(self, root: Path) -> bool:
        """Whether every package's file is there."""
        return all(next(root.glob(pattern), None) is not None for pattern in self.files)


class Packages:
    """Provides groups of packages, below ``/`` or unpacked in a folder that can be taken up again after a break."""

    def __init__(self, folder: Path) -> None:
        """Unpack in ``folder/tree`` and keep apt's own state in ``folder/apt``."""
        self.tree = folder / "tree"
        self._folder = folder
        self._own_lists = False

    def provide(self, group: Group) -> Path:
        """Have a group's files below the folder that is returned, ``/`` or the tree.

        Raises:
            Unavailable: they are not installed and cannot be downloaded.
        """
        if group.complete(INSTALLED):
            return INSTALLED
        marker = self._folder / f"{group.name}.done"
        if not marker.exists():
            debs = self._fetch(group)
            if not group.complete(self.tree):
                raise Unavailable(f"packages {', '.join(group.packages)} do not hold {', '.join(group.files)}")
            marker.write_text("".join(f"{deb}\n" for deb in debs), encoding="utf-8")
        return self.tree

    def versions(self, group: Group) -> list[str]:
        """Name and version of every package that a group which was provided consists of."""
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
                raise Unavailable(f"no {program} here to get {group.packages[0]} with")
        try:
            debs = self._download(group)
        except Unavailable:
            # The machine's package lists may be missing or older than the server's: get our own and try again.
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
            Unavailable: a member of it leaves the tree, by its name or through a link.
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
            # One bad source among several fails the whole update; what came of the others may do.
            fault = f"; {error}"
        try:
            return self._download(group)
        except Unavailable as error:
            raise Unavailable(f"{error}{fault}") from error

    def _download(self, group: Group) -> list[Path]:
        names = [*group.packages, *(self._dependencies(group.packages) if group.depends else ())]
        place = self._folder / "debs"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self._run(["apt-get", "download", *dict.fromkeys(names)], _DOWNLOAD_TIMEOUT, place)
        return sorted(place.glob("*.deb"))

    def _dependencies(self, names: Sequence[str]) -> list[str]:
        """What apt would install for these packages, themselves included, on top of what the machine has."""
        simulation = self._run(
            ["apt-get", "install", "--simulate", "--no-install-recommends", *names], _SIMULATE_TIMEOUT
        )
        return re.findall(r"^Inst (\S+) \(", simulation, re.MULTILINE)

    def _run(
        self, command: Sequence[str], timeout: float, folder: Path | None = None, out: IO[bytes] | None = None
    ) -> str:
        """What a program prints, which goes into `out` where that is given."""
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
            # Container images switch these two off, and then every call reads all lists again.
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
    """The first member of an archive that would not be written below `tree`, and why; ``None`` where all would be.

    A member may be a link that points anywhere, as packages have them for what they are installed into. But nothing
    may be written through one, be it the archive's own or there already, and a hard link takes what the tree holds.
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
    except (OSError, RuntimeError):  # links in a circle
        return False
