"""Sample inputs that every primitive brings along: what the generated tests run.

An op without samples cannot be registered, so an untested op cannot exist.
"""

import numpy as np


class S:
    """One call of an op: its arrays (float64) and scalars, and its options."""

    def __init__(self, *args, **options):
        self.args, self.options = args, options

    def __repr__(self):
        shown = [getattr(a, "shape", a) for a in self.args]
        shown = [f"array{a}" if isinstance(a, tuple) else repr(a) for a in shown]
        shown += [f"{k}={v!r}" for k, v in self.options.items()]
        return f"S({', '.join(shown)})"


class E(S):
    """A call that must be refused with ``error``, its message holding ``match``."""

    def __init__(self, error, match, *args, **options):
        super().__init__(*args, **options)
        self.error, self.match = error, match


class Draw:
    """A seeded source of sample arrays; calling it draws a standard normal array."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape):
        return np.asarray(self.rng.standard_normal(shape))

    def positive(self, *shape):
        """Values in (0.2, 2.2): safe for log, sqrt and division."""
        return np.asarray(self.rng.random(shape) * 2 + 0.2)

    def integers(self, high, *shape):
        """Integers in [0, high)."""
        return np.asarray(self.rng.integers(0, high, shape))

    def mask(self, *shape):
        """Booleans, about half of them true."""
        return np.asarray(self.rng.random(shape) < 0.5)

    def ties(self, *shape):
        """Small whole numbers as floats: many equal values."""
        return self.rng.integers(0, 3, shape).astype(np.float64)
