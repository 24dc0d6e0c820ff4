"""docs/quickstart.ipynb runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

import project_file


def test_the_notebook_runs(tmp_path: Path, corpus_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(project_file.ROOT / "docs" / "quickstart.ipynb", as_version=4)
    monkeypatch.setenv("PYTHONPATH", str(project_file.ROOT))
    monkeypatch.setenv("DROPIN_CACHE", str(corpus_cache))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert any("image/png" in output.get("data", {}) for output in outputs[4])
    assert (tmp_path / "runs" / "quickstart" / "report.html").is_file()
    assert outputs[-1][0]["data"]["text/plain"] == "True"
