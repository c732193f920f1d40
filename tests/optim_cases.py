"""Every rule with every option, and parameters and gradients to run them on."""

import numpy as np

from minidl import nn
from minidl.tensor import Tensor

CASES = [  # name, options: every branch of every rule
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.01}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 0.1, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.3}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
SHAPES = [(3, 4), (5,), (), (2, 3, 2, 2)]


def rng(seed=0):
    return np.random.default_rng(seed)


def weights(dtype="float64", seed=0):
    r = rng(seed)
    return [np.asarray(r.normal(size=shape)).astype(dtype) for shape in SHAPES]


def parameters(dtype="float64"):
    return [nn.Parameter(w) for w in weights(dtype)]


def feed(params, seed):
    """Gradients, the same for a seed; the third parameter has one every other time."""
    r = rng(seed)
    for i, p in enumerate(params):
        g = np.asarray(r.normal(size=p.shape)).astype(p.dtype)
        p.grad = None if i == 2 and seed % 2 else Tensor(g)


def train(optimizer, params, steps, start=0):
    for k in range(start, start + steps):
        feed(params, k)
        optimizer.step()
