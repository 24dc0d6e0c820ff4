"""Several machines on one: namespaces with network, processes, home and temporary files of their own, reached by SSH.

The first host is where the user sits. It alone has no SSH server, and the switch between all of them is in it, so that
nothing outside these namespaces is touched and nothing of them is reached from outside. Needs root and Linux, with the
Debian packages iproute2, openssh-server and rsync.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

SUBNET = "10.97.0"
SHARED = "/mnt/dropin"
"""One folder that all hosts see, as a network file system is."""
HOME = "/home/dropin"
PROGRAMS = ("ip", "sshd", "rsync", "ssh", "ssh-keygen", "unshare", "nsenter")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 15.0

# What the first process of a host does, in its own namespaces. What it must still see of /tmp and /home is bound back.
INIT = """
set -e
mount --make-rprivate /
hostname {name}
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /mnt
sed 's#^root:.*#root:x:0:0:root:{home}:/bin/bash#' /etc/passwd > {own}/passwd
mount --bind {own}/passwd /etc/passwd
mount --bind {folder}/hosts /etc/hosts
{keep}
for place in /tmp /home /run; do mount -t tmpfs tmpfs $place; done
{back}
mkdir -p {shared} {home} /run/sshd
mount --bind {folder}/shared {shared}
mount --bind {own}/home {home}
exec {last}
"""
SSHD = """
Port 22
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
UseDNS no
MaxSessions 100
MaxStartups 100
Subsystem sftp internal-sftp
"""


def missing() -> str | None:
    """Why there can be no hosts here, or ``None``."""
    if os.geteuid() != 0:
        return "namespaces need root"
    absent = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:{PATH}") is None]
    if absent:
        return f"{', '.join(absent)} not found: apt-get install iproute2 openssh-server rsync"
    tried = subprocess.run(["unshare", "-n", "-m", "-p", "-u", "-i", "-f", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"namespaces cannot be made here: {tried.stderr.strip()}"


class Hosts:
    """A context within which there are hosts.

    Attributes:
        folder: absolute; homes, keys and logs of the hosts.
        addresses: by name.
        key: the private key that lets anybody in.
    """

    def __init__(self, folder: Path, names: Sequence[str], keep: Sequence[Path]) -> None:
        """Hosts of these names, the user's first.

        Args:
            folder: an empty folder.
            names: of hosts.
            keep: folders that all hosts see where they are, even below /tmp.
        """
        self.folder, self.key = folder, folder / "key"
        self.addresses = {name: f"{SUBNET}.{number}" for number, name in enumerate(names, 1)}
        self._keep = [*dict.fromkeys([folder, *(path.resolve() for path in keep)])]
        self._first, self._pids = names[0], dict.fromkeys(names, 0)
        self._tag = f"dropin{os.getpid()}"

    def __enter__(self) -> Hosts:
        """Make them."""
        (self.folder / "shared").mkdir(parents=True)
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host-key"))
        (self.folder / "sshd_config").write_text(SSHD.format(folder=self.folder))
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in self.addresses.items())]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")
        try:
            self._wire()
            for name in self.addresses:
                self._start(name)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that runs on them, and them."""
        self._end()

    def run(
        self, name: str, command: str, *, env: Mapping[str, str] | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host, in its home, with an environment of its own; what it prints is in ``stdout``.

        Raises:
            subprocess.TimeoutExpired: it took longer.
        """
        variables = {"HOME": HOME, "TERM": "dumb", "LANG": "C.UTF-8", "PATH": PATH, **(env or {})}
        words = [*self._enter(name), "env", "-i", *(f"{key}={value}" for key, value in variables.items())]
        return subprocess.run(
            [*words, "bash", "-c", f"cd {HOME} && {command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def start(self, name: str, command: str, output: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Begin a shell command on a host, as `run` does; what it prints goes into a file."""
        variables = {"HOME": HOME, "TERM": "dumb", "LANG": "C.UTF-8", "PATH": PATH, **env}
        words = [*self._enter(name), "env", "-i", *(f"{key}={value}" for key, value in variables.items())]
        with output.open("wb") as file:
            return subprocess.Popen(
                [*words, "bash", "-c", f"cd {HOME} && exec {command}"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def processes(self, name: str) -> list[psutil.Process]:
        """All that runs on a host, but for its first process."""
        return psutil.Process(self._pids[name]).children(recursive=True)

    def cut(self, name: str) -> None:
        """Pull a host's network cable."""
        self._link(name, "down")

    def mend(self, name: str) -> None:
        """Put it back in."""
        self._link(name, "up")

    def _link(self, name: str, state: str) -> None:
        _call("ip", "-n", self._net(self._first), "link", "set", f"to-{name}", state)

    def _net(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _enter(self, name: str) -> list[str]:
        return ["nsenter", "-t", str(self._pids[name]), "-a", "--"]

    def _wire(self) -> None:
        first = self._net(self._first)
        for name in self.addresses:
            _call("ip", "netns", "add", self._net(name))
            _call("ip", "-n", self._net(name), "link", "set", "lo", "up")
        _call("ip", "-n", first, "link", "add", "switch", "type", "bridge")
        _call("ip", "-n", first, "link", "set", "switch", "up")
        _call("ip", "-n", first, "addr", "add", f"{self.addresses[self._first]}/24", "dev", "switch")
        for name, address in self.addresses.items():
            if name == self._first:
                continue
            own = self._net(name)
            _call("ip", "-n", first, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", own)
            _call("ip", "-n", first, "link", "set", f"to-{name}", "master", "switch", "up")
            _call("ip", "-n", own, "link", "set", "eth0", "up")
            _call("ip", "-n", own, "addr", "add", f"{address}/24", "dev", "eth0")
            # Ray finds out its own address by way of a default route, which leads nowhere.
            _call("ip", "-n", own, "route", "add", "default", "via", self.addresses[self._first])

    def _start(self, name: str) -> None:
        own = self.folder / name
        (own / "home").mkdir(parents=True)
        serve = f"/usr/sbin/sshd -D -e -f {self.folder}/sshd_config -h {self.folder}/host-key"
        keep = [f"mkdir -p /mnt/kept/{n} && mount --bind {path} /mnt/kept/{n}" for n, path in enumerate(self._keep)]
        back = [f"mkdir -p {path} && mount --bind /mnt/kept/{n} {path}" for n, path in enumerate(self._keep)]
        script = INIT.format(
            name=name,
            home=HOME,
            own=own,
            folder=self.folder,
            shared=SHARED,
            keep="\n".join(keep),
            back="\n".join(back),
            last="sleep infinity" if name == self._first else serve,
        )
        words = ["ip", "netns", "exec", self._net(name), "unshare", "-m", "-p", "-f", "-u", "-i"]
        with (own / "log").open("wb") as log:
            outer = subprocess.Popen(
                [*words, "--mount-proc", "--kill-child", "bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:{PATH}"},
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while not (inner := psutil.Process(outer.pid).children()) or not self._ready(name, inner[0].pid):
            if outer.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"host {name} does not start: {(own / 'log').read_text()}")
            time.sleep(0.1)

    def _ready(self, name: str, pid: int) -> bool:
        self._pids[name] = pid
        wanted = "sleep" if name == self._first else "sshd"
        return psutil.Process(pid).name() == wanted

    def _end(self) -> None:
        for pid in self._pids.values():
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)  # the first process of its namespace takes all others with it
                except ProcessLookupError:
                    continue
        for name in self.addresses:
            subprocess.run(["ip", "netns", "del", self._net(name)], capture_output=True)


def _call(*words: str) -> None:
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:{PATH}"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: {done.stderr.strip()}")
