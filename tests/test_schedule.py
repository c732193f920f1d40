"""Learning-rate schedules: torch's rates, resumed anywhere."""

import json

import numpy as np
import pytest

from minidl import nn, optim
from minidl.errors import ArgumentError, CheckpointError

WEIGHTS = [np.ones((3, 4)), np.ones(5)]
SCHEDULES = {
    "step": lambda s, o: s.StepLR(o, step_size=4, gamma=0.3),
    "exponential": lambda s, o: s.ExponentialLR(o, gamma=0.9),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=30, eta_min=1e-3),
    "cosine over and over": lambda s, o: s.CosineAnnealingLR(o, T_max=7),
    "linear": lambda s, o: s.LinearLR(o, start_factor=0.1, total_iters=6),
    "linear down": lambda s, o: s.LinearLR(o, 0.8, 0.2, 11),
    "linear default": lambda s, o: s.LinearLR(o),
    "warm-up, cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 5), s.CosineAnnealingLR(o, 25)], [5]
    ),
    "three": lambda s, o: s.SequentialLR(
        o, [s.ExponentialLR(o, 0.5), s.StepLR(o, 3), s.LinearLR(o)], [4, 16]
    ),
}


def groups(library, params, tensor):
    """An optimiser with two groups, so that each has its own base rate."""
    a, b = tensor(params[0]), tensor(params[1])
    return library.SGD([{"params": [a]}, {"params": b, "lr": 0.7}], lr=0.2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_thirty_rates_equal_torchs(name):
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    ours = groups(optim, WEIGHTS, nn.Parameter)
    theirs = groups(torch.optim, WEIGHTS, torch.tensor)
    mine = SCHEDULES[name](optim, ours)
    twin = SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    for _ in range(31):
        assert mine.get_last_lr() == pytest.approx(
            twin.get_last_lr(), rel=1e-12, abs=1e-15
        )
        assert [g["lr"] for g in ours.param_groups] == mine.get_last_lr()
        for o, s in ((ours, mine), (theirs, twin)):
            o.step()
            s.step()


def test_schedules_resume_and_refuse_foreign_state():
    for make in SCHEDULES.values():
        whole, part = (groups(optim, WEIGHTS, nn.Parameter) for _ in range(2))
        a, b = make(optim, whole), make(optim, part)
        for _ in range(9):
            a.step()
        b.load_state(json.loads(json.dumps(a.state())))
        for _ in range(9):
            assert a.get_last_lr() == b.get_last_lr()
            a.step(), b.step()
    with pytest.raises(
        CheckpointError, match="state must hold last_epoch and 2 base_lrs"
    ):
        a.load_state({"last_epoch": 3, "base_lrs": [0.1]})


P = nn.Parameter(np.ones(2))
REFUSED = [
    (lambda: optim.StepLR(optim.SGD([P]), 0), "StepLR: step_size must be >= 1; got 0"),
    (lambda: optim.ExponentialLR(optim.SGD([P]), -0.1), "ExponentialLR: gamma must be"),
    (
        lambda: optim.CosineAnnealingLR(optim.SGD([P]), 0),
        "CosineAnnealingLR: T_max must",
    ),
    (lambda: optim.LinearLR(optim.SGD([P]), 0.0), r"start_factor must be in \(0, 1\]"),
    (lambda: optim.LinearLR(optim.SGD([P]), 1.0, 2.0), "LinearLR: end_factor must be"),
    (lambda: optim.SequentialLR(optim.SGD([P]), [], []), "one fewer than schedulers"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_sequences_that_make_no_sense_are_refused():
    optimizer = optim.SGD([P])
    with pytest.raises(ArgumentError, match="schedulers must be of the same optimizer"):
        other = optim.StepLR(optim.SGD([P]), 1)
        optim.SequentialLR(optimizer, [other], [])
    with pytest.raises(
        ArgumentError, match=r"milestones must be > 0 and rise; got \[3, 3\]"
    ):
        optim.SequentialLR(optimizer, [optim.StepLR(optimizer, 1)] * 3, [3, 3])
