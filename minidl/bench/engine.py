"""``minidl bench engine``: tiny ops, whole training steps, memory and start-up."""

import json
import os
import tempfile

import numpy as np

from .. import files, models, optim
from .. import functional as F
from ..errors import ArgumentError
from ..interchange import tensor
from ..tensor import Tensor
from . import measure

BATCH = 64


def _batch(size):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, 1, 28, 28)).astype(np.float32)
    return x, rng.integers(0, 10, size)


def our_step(name: str, batch: int = BATCH):
    """A function that does one training step of a registered model."""
    model = models.create(name)
    optimizer = optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    x, y = (Tensor(a) for a in _batch(batch))

    def step():
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def torch_step(name: str, batch: int = BATCH):
    """The same step of the same model in torch."""
    import torch
    from torch import nn

    if name == "mlp":
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
        )
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 500),
            nn.ReLU(),
            nn.Linear(500, 10),
        )
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    x, y = (torch.from_numpy(a) for a in _batch(batch))

    def step():
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


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


# Peak resident memory of steps, in MiB, beyond what a step on one image left behind:
# that one has loaded the libraries and compiled the kernels.
_PEAK = """
import sys
from minidl.bench import engine
def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1])
if {torch}: import torch; torch.set_num_threads({threads})
engine.{kind}_step("lenet", 1)()
step = engine.{kind}_step("lenet")
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
for _ in range(3): step()
print((status("VmHWM") - before) / 1024)
"""

_FIRST = "from minidl.bench import engine; engine.{kind}_step('lenet')()"


def _peak(kind, threads):
    code = _PEAK.format(kind=kind, torch=kind == "torch", threads=threads)
    return float(measure.process(code)[1])


def _paired(name, ours, peer, rounds, unit, reach):
    """Two whole processes in turn; ours and peer return the figure."""
    a, b = [], []
    for _ in range(rounds):
        a.append(ours())
        if peer:
            b.append(peer())
    ratio = float(np.median([y / x for x, y in zip(a, b)])) if peer else None
    return measure.Row(
        name,
        float(np.median(a)),
        float(np.median(b)) if peer else None,
        unit,
        ratio,
        reach,
    )


def _start_rows(torch_here, rounds):
    """Import, help, and first step with an empty and a filled compilation cache."""

    def wall(code, **environment):
        return measure.process(code, {**os.environ, **environment})[0]

    help_code = "from minidl.cli import main; main(['--help'])"
    torch_import = (lambda: wall("import torch")) if torch_here else None
    torch_first = (lambda: wall(_FIRST.format(kind="torch"))) if torch_here else None
    first = _FIRST.format(kind="our")
    rows = [
        _paired(
            "import",
            lambda: wall("import minidl"),
            torch_import,
            rounds,
            "s",
            "<= 0.35 s",
        ),
        _paired(
            "minidl --help", lambda: wall(help_code), None, rounds, "s", "<= 0.4 s"
        ),
    ]
    with tempfile.TemporaryDirectory() as cache:
        cold = wall(first, NUMBA_CACHE_DIR=cache)
        rows.append(
            measure.Row("first LeNet step, cold", cold, None, "s", None, "<= 20 s")
        )
        rows.append(
            _paired(
                "first LeNet step, warm",
                lambda: wall(first, NUMBA_CACHE_DIR=cache),
                torch_first,
                rounds,
                "s",
                "<= 2 s",
            )
        )
    return rows


def run(console, rounds: int = 15, json_file: str | None = None) -> list[measure.Row]:
    """Measure, print the table, and write it to ``json_file`` if one is named.

    Raises: ArgumentError unless rounds >= 1.
    """
    if rounds < 1:
        raise ArgumentError(f"bench: rounds must be >= 1; got {rounds}")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    try:
        import torch

        torch.set_num_threads(threads)
    except ImportError:
        torch = None
        console.print(
            "torch is not installed: no ratios (pip install 'minidl\\[parity]')"
        )
    ours = lambda values: tensor(values, requires_grad=True)
    ones = tensor([1.0] * 4)
    rows = []
    for name, build in (
        ("tiny op, fwd + bwd", _tiny),
        ("chain of 20 tiny ops", _chain),
    ):
        peer = torch and build(
            lambda v: torch.tensor(v, requires_grad=True), torch.ones(4)
        )
        rows.append(
            measure.pair(name, build(ours, ones), peer, rounds, 1e6, "us", ">= 1x")
        )
    for name, reach in (("mlp", ">= 1x"), ("lenet", ">= 0.5x")):
        rows.append(
            measure.pair(
                f"{name} step, batch {BATCH}",
                our_step(name),
                torch and torch_step(name),
                rounds,
                1e3,
                "ms",
                reach,
            )
        )
    few = max(1, rounds // 3)
    if os.path.exists("/proc/self/clear_refs"):
        rows.append(
            _paired(
                "lenet step, peak memory",
                lambda: _peak("our", threads),
                torch and (lambda: _peak("torch", threads)),
                few,
                "MiB",
                "",
            )
        )
    rows += _start_rows(torch is not None, few)
    peer = f"torch {torch.__version__}" if torch else "torch"
    title = f"engine, float32, {threads} threads, {rounds} pairs"
    console.print(measure.table(title, rows, peer))
    if json_file:
        text = json.dumps([row.as_dict() for row in rows], indent=1)
        files.atomic_write(json_file, text + "\n")
    return rows
