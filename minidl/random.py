"""One seeded NumPy generator on the host: the only source of randomness.

Drawing on the host and moving the result makes a run repeat bit for bit on every
device, and its state is small, plain and easy to store in a checkpoint.
"""

import numpy as np

from .errors import ArgumentError

_generator = np.random.default_rng()


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the generator from ``seed`` (an integer >= 0) and return it."""
    global _generator
    if not hasattr(seed, "__index__") or seed < 0:
        raise ArgumentError(f"manual_seed: seed must be an integer >= 0; got {seed!r}")
    _generator = np.random.default_rng(seed)
    return _generator


def generator() -> np.random.Generator:
    """The generator from which initialisers, dropout and loaders draw."""
    return _generator


def get_state() -> dict:
    """The generator's state as a plain dict of strings and integers."""
    return _generator.bit_generator.state


def set_state(state: dict) -> None:
    """Continue exactly where `get_state` was taken."""
    _generator.bit_generator.state = state
