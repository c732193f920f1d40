"""Checkpoints that say which one they are, for the tests of storage."""

import numpy as np

from minidl.storage import load, save


def numbered(path, n, size=100):
    """Save a checkpoint whose every array tells which one it is."""
    arrays = {"a": np.full(size, n, np.float32), "b": np.array(n, np.int64)}
    save(path, arrays, {"n": n})


def number(arrays, meta):
    """The number of a `numbered` checkpoint; all its parts must agree."""
    assert (arrays["a"] == meta["n"]).all() and arrays["b"] == meta["n"]
    return meta["n"]


def number_of(path):
    return number(*load(path))


def names(folder):
    return sorted(path.name for path in folder.iterdir())
