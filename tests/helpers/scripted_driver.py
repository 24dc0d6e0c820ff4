"""A driver that does what a script says, in place of the real one: every start takes the next line of a file.

A line is JSON: ``tell`` facts for the supervisor, ``ended`` trials to append to the log, and how it ends: ``exit`` (a
status), ``kill`` (a signal to itself), ``wait`` (for a signal, which ends it with the outcome of an interruption), or
``ignore`` (signals have no effect).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    pipe, script = int(sys.argv[1]), Path(os.environ["DROPIN_SCRIPT"])
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        script.with_suffix(".asked").touch()

    signal.signal(signal.SIGINT, note)

    def tell(**fact: Any) -> None:
        os.write(pipe, json.dumps(fact).encode() + b"\n")

    job = json.load(sys.stdin)
    line, *rest = script.read_text().splitlines()
    script.write_text("\n".join(rest))
    with script.with_suffix(".jobs").open("a") as jobs:
        jobs.write(json.dumps(job) + "\n")
    todo = json.loads(line)
    tell(ready=True, **todo.get("tell", {}))
    if "ended" in todo:
        with Path(todo["log"]).open("a") as log:
            log.writelines(json.dumps(record) + "\n" for record in todo["ended"])
    if todo.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        Path(todo["child"]).write_text(str(child.pid))
    if "kill" in todo:
        os.kill(os.getpid(), todo["kill"])
    until = time.monotonic() + 60
    while ("wait" in todo and not asked) or "ignore" in todo:
        time.sleep(0.01)
        assert time.monotonic() < until, "nobody ended it"
    if "wait" in todo:
        tell(outcome=todo["wait"])
    os._exit(todo.get("exit", 0))


if __name__ == "__main__":
    main()
