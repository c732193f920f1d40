"""``minidl bench engine``: tiny ops, whole training steps, memory and start-up."""

import os
import tempfile
from collections.abc import Iterator

from ..interchange import tensor
from . import measure, memory, nets
from .measure import Row
from .setting import Setting

TITLE, ABOUT = "engine", ""
FEW = 3  # the rounds are divided by it where whole processes are timed


def _tiny(make, ones):
    """One multiplication of four numbers, forward and backward."""
    x, y = make([1.0, 2.0, 3.0, 4.0]), make([4.0, 3.0, 2.0, 1.0])

    def run():
        x.grad = y.grad = None
        (x * y).backward(ones)

    return run


def _chain(make, ones):
    """Twenty multiplications in a row, forward and backward."""
    x = make([1.0, 2.0, 3.0, 4.0])

    def run():
        x.grad = None
        y = x
        for _ in range(20):
            y = y * 1.01
        y.backward(ones)

    return run


_FIRST = "from minidl.bench import nets; nets.{kind}_step('lenet')()"


def start_rows(torch_here: bool, rounds: int) -> Iterator[Row]:
    """Import, help, and first step with an empty and a filled compilation cache."""

    def wall(code, **environment):
        return measure.process(code, {**os.environ, **environment})[0]

    help_code = "from minidl.cli import main; main(['--help'])"
    torch_import = (lambda: wall("import torch")) if torch_here else None
    torch_first = (lambda: wall(_FIRST.format(kind="torch"))) if torch_here else None
    first = _FIRST.format(kind="our")
    yield measure.processes(
        "import",
        lambda: wall("import minidl"),
        torch_import,
        rounds,
        "s",
        "<= 0.35 s",
    )
    yield measure.processes(
        "minidl --help", lambda: wall(help_code), None, rounds, "s", "<= 0.4 s"
    )
    with tempfile.TemporaryDirectory() as cache:
        cold = wall(first, NUMBA_CACHE_DIR=cache)
        yield Row("first LeNet step, cold", cold, None, "s", None, "<= 20 s")
        yield measure.processes(
            "first LeNet step, warm",
            lambda: wall(first, NUMBA_CACHE_DIR=cache),
            torch_first,
            rounds,
            "s",
            "<= 2 s",
        )


def rows(setting: Setting) -> Iterator[Row]:
    """Each row as soon as it is measured."""
    torch = setting.torch
    ours = lambda values: tensor(values, requires_grad=True)
    theirs = lambda values: torch.tensor(values, requires_grad=True)
    for name, build in (
        ("tiny op, fwd + bwd", _tiny),
        ("chain of 20 tiny ops", _chain),
    ):
        yield setting.pair(
            name,
            build(ours, tensor([1.0] * 4)),
            lambda b=build: b(theirs, torch.ones(4)),
            reach=">= 1x",
        )
    for name, reach in (("mlp", ">= 1x"), ("lenet", ">= 0.5x")):
        yield setting.pair(
            f"{name} step, batch {nets.BATCH}",
            nets.our_step(name),
            lambda n=name: nets.torch_step(n),
            reach=reach,
        )
    few = max(1, setting.rounds // FEW)
    if memory.can_tell("cpu"):
        size = nets.BATCH
        yield measure.processes(
            "lenet step, peak memory",
            lambda: memory.peak(setting, "lenet", size),
            torch and (lambda: memory.peak(setting, "lenet", size, "depthwise")),
            few,
            "MiB",
        )
    yield from start_rows(torch is not None, few)
