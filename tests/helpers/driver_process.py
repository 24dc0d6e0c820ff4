"""Runs as processes of their own that begin with their imports done, which take longer than most of what they do.

A server process imports what all of them need, once, and forks one for each. It has a single thread and no Ray.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

from project_file import HELPERS, ROOT

SCRIPTS = ("run_pretended", "run_in_bucket")


def start(script: str, *arguments: str, output: Path) -> BaseProcess:
    """Begin a script of this folder in a session of its own, with this process's environment.

    Args:
        script: one of `SCRIPTS`; its ``main`` returns the exit code.
        arguments: as from the command line.
        output: file to which it appends what it prints.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*SCRIPTS])
    # For the server, which starts with the first process that is asked of it, and for Ray's workers.
    with patch.dict(os.environ, PYTHONPATH=f"{ROOT}{os.pathsep}{HELPERS}"):
        process = server.Process(target=_carry_out, args=(script, arguments, output, dict(os.environ)))
        process.start()
    return process


def _carry_out(script: str, arguments: tuple[str, ...], output: Path, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    with output.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = [str(HELPERS / f"{script}.py"), *arguments]
    sys.exit(importlib.import_module(script).main())
