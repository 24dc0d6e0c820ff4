"""Whole runs whose storage is a bucket, as processes of their own: with pretended trials, and small real ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from project_file import HELPERS, ROOT
from search import export
from search.runs.members import StoredRun
from trainables.corpora import synthetic
from trainables.storage.bucket_files import download, join_uri, list_sizes, read_bytes
from trainables.storage.checkpoint import load_detector


def carry_out(*command: str, **environment: str) -> str:
    """Run a command of this project; what it printed."""
    named = {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pretend(bucket: str, cache: Path, trials: int, how: str) -> dict[int, dict[str, Any]]:
    """Carry out pretended trials up to a number of them; what the log in the bucket then says."""
    cache.mkdir(exist_ok=True)
    script = str(HELPERS / "run_in_bucket.py")
    carry_out(script, join_uri(bucket, "runs"), str(cache), str(trials), how)
    lines = read_bytes(join_uri(bucket, "runs", "one", "trials.jsonl")).splitlines()
    return {record["number"]: record for record in map(json.loads, lines)}


@pytest.mark.parametrize(("bucket", "how"), [("s3", "shared"), ("gs", "unshared")], indirect=["bucket"])
def test_a_run_is_resumed_from_the_bucket_alone(how: str, bucket: str, tmp_path: Path) -> None:
    first = pretend(bucket, tmp_path / "a", 4, how)
    assert sorted(first) == [0, 1, 2, 3]
    # The first trial's worker was lost in its second epoch: it went on from the state after the first.
    assert (tmp_path / "a" / "trace").read_text() == "1 2 2 3 "
    both = pretend(bucket, tmp_path / "b", 7, how)
    assert sorted(both) == [0, 1, 2, 3, 4, 5, 6]
    assert {number: both[number] for number in first} == first
    assert not (tmp_path / "b" / "trace").exists(), "nothing is done again"
    uri = join_uri(bucket, "runs", "one")
    (folder,) = (tmp_path / "b" / "runs").glob("*/one")
    assert list_sizes(uri) == {
        path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }
    front = {f"detectors/{number}" for number in pq.read_table(folder / "front.parquet")["number"].to_pylist()}
    kept = {name.rpartition("/")[0] for name in list_sizes(uri) if name.startswith("detectors/")}
    assert kept == front | {"detectors/0"}, "those of the front and of the recipe"
    assert b"guess-me" not in b"".join(read_bytes(join_uri(uri, name)) for name in list_sizes(uri))


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_nodes_share_nothing_but_the_bucket(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search is on a node without room for trials; the other node has another cache, and room for one trial."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    here, node, corpus = tmp_path / "here", tmp_path / "node", tmp_path / "corpus"
    synthetic.write(corpus, utterances={"train": 10, "dev": 10, "eval": 5})
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes.add_node(num_cpus=1, env_vars={"DROPIN_CACHE": str(node)})
        carry_out(
            *("-m", "search.run", "--address", nodes.address, "--storage", join_uri(bucket, "runs"), "--name", "one"),
            *("--cache", str(here), "--corpus", "asvspoof2019-la", "--corpus-root", str(corpus), "--model", "grnn"),
            *("--trials", "4", "--epochs", "2", "--base-epochs", "1", "--space", "plasticity"),
        )
    finally:
        nodes.shutdown()
    uri = join_uri(bucket, "runs", "one")
    log = [json.loads(line) for line in read_bytes(join_uri(uri, "trials.jsonl")).splitlines()]
    assert len(log) == 4
    assert {record["state"] for record in log} <= {"COMPLETE", "PRUNED"}
    for kind in ("features", "bases"):
        (copied,) = [path for path in (node / kind).iterdir() if path.is_dir()]
        assert set(list_sizes(join_uri(bucket, "runs", kind, copied.name))) == {path.name for path in copied.iterdir()}
    assert not (node / "runs").exists()
    shutil.rmtree(here / "runs")
    run = StoredRun.find(uri, tmp_path / "elsewhere")
    assert run.settings.cache == tmp_path / "elsewhere"
    arguments = [uri, "--to", str(tmp_path / "front"), "--cache", str(here)]
    assert export.main(arguments) == 0, capsys.readouterr().err
    assert load_detector(tmp_path / "front" / "detectors" / "0").card["eer_dev"] <= 1
    download(join_uri(uri, "base"), tmp_path / "base")
    assert load_detector(tmp_path / "base").card["epochs"] == 1
