"""The driver's process: reads from stdin what to do, does it, and tells its supervisor how it ended.

``python -m search.driver.entry FD``, where FD is the file descriptor of a pipe for lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from search.display import terminal
from search.running import interruption
from search.running.outcome import Outcome


def main() -> None:
    """Carry out a job; the process ends here, whatever threads of libraries still wait for."""
    pipe = int(sys.argv[1])

    def tell(**fact: Any) -> None:
        os.write(pipe, json.dumps(fact).encode() + b"\n")

    interruption.install()
    tell(ready=True)  # from now on a signal may come
    try:
        outcome = _carry_out(json.load(sys.stdin), lambda lost: tell(lost=lost))
    except KeyboardInterrupt:
        outcome = Outcome(interrupted=True, begun=False)
    except Exception as error:
        outcome = Outcome(begun=False)
        outcome.failed(error)
        if not outcome.users:
            traceback.print_exc()
    tell(outcome=asdict(outcome))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _carry_out(job: dict[str, Any], tell_lost: Callable[[str], None]) -> Outcome:
    # Only now: these take seconds to import.
    from search.display.progress import make_display
    from search.running.watchdog import Watchdog
    from search.settings.options import Settings

    terminal.prepare()
    watchdog, display = Watchdog(tell_lost), make_display(quiet=job["quiet"])
    settings = Settings.from_json(job["settings"])
    if job["kind"] == "search":
        from search.running.search import search

        return search(settings, display, watchdog)
    from search.running.confirm_front import confirm_run
    from search.runs.members import StoredRun

    run = replace(StoredRun.open(Path(job["folder"])), settings=settings)
    return confirm_run(run, job["seeds"], display, watchdog, controls=job["controls"])


if __name__ == "__main__":
    main()
