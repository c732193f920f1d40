"""Marks shared by all tests."""

import pytest

from minidl import backend


def pytest_collection_modifyitems(items):
    """GPU tests run where there is a GPU and read as skipped everywhere else."""
    if backend.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA GPU and CuPy")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)
