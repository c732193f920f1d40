"""Marks and fixtures shared by several tests."""

import pytest
from checkpoints import names, numbered
from knock_tree import plant

from minidl import backend, cli


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """No test may hang. Not in setup.cfg, where learners may lack pytest-timeout."""
    if config.pluginmanager.hasplugin("timeout") and config.option.timeout is None:
        config.option.timeout = 600


def pytest_collection_modifyitems(items):
    """GPU tests run where there is a GPU and read as skipped everywhere else."""
    if backend.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA GPU and CuPy")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def two(tmp_path):
    """A folder where checkpoint 2 is the last and 1 the previous."""
    numbered(tmp_path / "last.safetensors", 1)
    numbered(tmp_path / "last.safetensors", 2)
    assert names(tmp_path) == ["last.safetensors", "previous.safetensors"]
    return tmp_path


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A tiny tree of three knocks, which is also the present folder."""
    monkeypatch.chdir(plant(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def run(root, capsys):
    """Run a command on that tree: (exit status, stdout, stderr)."""

    def call(*words):
        try:
            status = cli.main([str(w) for w in words])
        except SystemExit as end:  # argparse
            status = end.code
        return status, *capsys.readouterr()

    return call
