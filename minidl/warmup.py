"""Compile ahead what would otherwise be compiled at first use: ``minidl warmup``.

Every primitive runs its own samples, forward and backward, in float32 and float64: the
argument types are those of real use. Beside them run what samples, being small, do not
reach: every optimiser, long rows, the shapes that make convolution change its way of
computing, and a training step of each model.
"""

import time

import numpy as np

from . import functional as F
from . import kernels, models, nn, optim, papers, testing
from .kernels import _compile, _dispatch
from .random import get_state, set_state
from .tensor import Tensor

DTYPES = ("float32", "float64")

# Input, weight and options of `conv2d`: the families that differ in how they compute.
CONVOLUTIONS = [
    ((2, 32, 28, 28), (32, 32, 3, 3), dict(padding=1)),
    ((2, 32, 28, 28), (64, 32, 3, 3), dict(padding=1, stride=2)),
    ((2, 32, 14, 14), (32, 32, 3, 3), dict(padding=2, dilation=2)),
    ((2, 64, 7, 7), (64, 64, 3, 3), dict(padding=1)),
    ((2, 64, 28, 28), (64, 64, 1, 1), dict()),
    ((2, 64, 28, 28), (64, 64, 1, 1), dict(stride=2)),
    ((2, 16, 28, 28), (32, 16, 5, 5), dict(padding=2)),
    ((2, 3, 64, 64), (64, 3, 7, 7), dict(padding=3, stride=2)),
    ((2, 32, 28, 28), (32, 32, 1, 3), dict(padding=(0, 1))),
    ((2, 32, 28, 28), (32, 32, 3, 1), dict(padding=(1, 0))),
    ((1, 32, 28, 28), (32, 32, 3, 3), dict(padding=1)),
    *[
        ((2, 64, 28, 28), (64, 64 // g, 3, 3), dict(padding=1, groups=g))
        for g in (2, 4, 8, 16, 32, 64)
    ],
    ((2, 64, 28, 28), (64, 1, 3, 3), dict(padding=1, groups=64, stride=2)),
    ((2, 64, 28, 28), (64, 1, 3, 3), dict(padding=2, groups=64, dilation=2)),
    ((2, 64, 28, 28), (64, 1, 5, 5), dict(padding=2, groups=64)),
    ((2, 32, 28, 28), (64, 1, 3, 3), dict(padding=1, groups=32)),
    ((1, 64, 28, 28), (64, 16, 3, 3), dict(padding=1, groups=4)),
]

OPTIMIZERS = [
    (optim.SGD, dict(lr=0.1)),
    (optim.SGD, dict(lr=0.1, momentum=0.9)),
    *[
        (optim.RMSprop, dict(centered=centered, momentum=momentum))
        for centered in (False, True)
        for momentum in (0.0, 0.9)
    ],
    (optim.Adam, dict()),
    (optim.AdamW, dict()),
]


def _drawn(dtype, *shape, requires_grad=True):
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return Tensor(values, requires_grad)


def _backward(y):
    if y.requires_grad:
        y.backward(Tensor(np.ones(y.shape, y.dtype)))


def _samples(op, dtype):
    for sample in testing.samples_of(op):
        _backward(op(*testing.as_tensors(sample, dtype), **sample.options))


def _convolution(x, weight, options, dtype):
    _backward(F.conv2d(_drawn(dtype, *x), _drawn(dtype, *weight), **options))


def _transforms(dtype):
    for rows, n in ((8, 1 << 13), (1, 1 << 13)):  # long rows, many and few
        x = _drawn(dtype, rows, n, requires_grad=False).data
        kernels.fwht(x)
        kernels.fwht_(x)


def _large(dtype):
    """Arrays so large that loops take the place of NumPy."""
    _backward(F.relu(_drawn(dtype, 1 << 20)))


def _optimizers(dtype):
    for rule, options in OPTIMIZERS:
        layer = nn.Linear(3, 2).to(dtype)
        averages = optim.EMA(layer, 0.9)
        _backward(layer(_drawn(dtype, 4, 3, requires_grad=False)))
        rule(layer.parameters(), **options).step()
        averages.update()


def _step(name, dtype):
    """A training step and an evaluation of a model on images of 28 x 28.

    Of the papers' models on few: which loops they run does not depend on how many.
    """
    model = models.create(name).to(dtype)
    paper = models.MODELS[name].build.__module__.startswith(papers.__name__)
    count = 8 if paper else 64
    images = _drawn(dtype, count, 1, 28, 28, requires_grad=False)
    labels = np.arange(count) % 10
    F.cross_entropy(model(images), Tensor(labels)).backward()
    model.eval()
    model(images)


def jobs():
    """What is to run: (what it is, a function of the dtype)."""
    for name, op in testing.all_ops().items():
        yield name, lambda dtype, op=op: _samples(op, dtype)
    yield "long transforms", _transforms
    yield "large arrays", _large
    for case in CONVOLUTIONS:
        yield "convolutions", lambda dtype, case=case: _convolution(*case, dtype)
    yield "optimisers", _optimizers
    for name in models.MODELS:
        yield name, lambda dtype, name=name: _step(name, dtype)


def disabled() -> bool:
    """Whether ``NUMBA_DISABLE_JIT`` leaves every loop to the Python interpreter."""
    import numba

    return bool(numba.config.DISABLE_JIT)


def run(console) -> tuple[int, int]:
    """Compile everything; say how much was compiled, and how much was there already.

    Returns the two numbers, of versions of loops: one loop has a version for each
    combination of argument types.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if disabled():
        console.print("NUMBA_DISABLE_JIT is set: nothing is compiled, loops run slowly")
        return 0, 0
    _compile.notice.said = True  # the bar says it
    todo, before, began = list(jobs()), _dispatch.compilations(), time.monotonic()
    state = get_state()  # models draw their weights: leave the user's numbers alone
    try:
        with Progress(
            TextColumn("compiling"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task("", total=len(todo) * len(DTYPES))
            for name, job in todo:
                for dtype in DTYPES:
                    bar.update(task, description=f"{name}, {dtype}")
                    job(dtype)
                    bar.advance(task)
    finally:
        set_state(state)
    compiled, loaded = (
        now - then for now, then in zip(_dispatch.compilations(), before)
    )
    seconds = time.monotonic() - began
    console.print(
        f"compiled {compiled} versions of loops, {loaded} came from the cache, "
        f"in {seconds:.1f} s"
    )
    for folder in _dispatch.folders():
        console.print(
            f"cache: {folder}"
            if folder
            else "no cache folder can be written: "
            "this is lost when the program ends; set NUMBA_CACHE_DIR to a folder",
            soft_wrap=True,
            markup=False,
        )
    return compiled, loaded
