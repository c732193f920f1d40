"""Shift, the Walsh-Hadamard transform and sequency, again in plain loops."""

import math

import numpy as np


def shift(x, dy, dx):
    """Each pixel fetched from where it came, zero from outside."""
    y, channels = np.zeros(x.shape), x.shape[1]
    down, right = (
        [int(v) for v in d] if np.ndim(d) else [int(d)] * channels for d in (dy, dx)
    )
    for n, c, i, j in np.ndindex(*x.shape):
        p, q = i - down[c], j - right[c]
        if 0 <= p < x.shape[2] and 0 <= q < x.shape[3]:
            y[n, c, i, j] = x[n, c, p, q]
    return y


def fwht(x):
    """Signs by the parity of the bits that two indices share."""
    y, n = np.zeros(x.shape), x.shape[-1]
    for *row, i in np.ndindex(*x.shape):
        signs = ((-1) ** bin(i & j).count("1") for j in range(n))
        y[*row, i] = math.fsum(s * x[*row, j] for j, s in enumerate(signs))
    return y


def sign_changes(i, n):
    """How often row i of the natural Hadamard matrix of size n changes its sign."""
    odd = [bin(i & j).count("1") % 2 for j in range(n)]
    return sum(a != b for a, b in zip(odd, odd[1:]))


def to_sequency(x):
    """What belongs to the row with i sign changes goes to place i."""
    y, n = np.zeros(x.shape), x.shape[-1]
    for i in range(n):
        y[..., sign_changes(i, n)] = x[..., i]
    return y


def from_sequency(x):
    y, n = np.zeros(x.shape), x.shape[-1]
    for i in range(n):
        y[..., i] = x[..., sign_changes(i, n)]
    return y
