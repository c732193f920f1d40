"""What a model is made of and what it costs: found by running it once and watching."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import backend, ops, random
from ..autograd import no_grad, watch_ops
from ..errors import MinidlError
from ..tensor import Tensor
from ._arguments import whole
from .module import Module
from .state import Parameter


def _contraction(xs, y, subscripts):
    """Every combination of labels costs one multiply-add for each array but one."""
    labels = subscripts.split("->")[0].split(",")
    sizes = {c: n for row, x in zip(labels, xs) for c, n in zip(row, x.shape)}
    return math.prod(sizes.values()) * (len(xs) - 1)


# Multiply-adds of one call, from arrays in, array out and options.
MULTIPLY_ADDS = {
    ops.conv2d: lambda xs, y, **_: y.size * math.prod(xs[1].shape[1:]),
    ops.conv2d_input: lambda xs, y, **_: xs[0].size * math.prod(xs[1].shape[1:]),
    ops.conv2d_weight: lambda xs, y, **_: xs[1].size * math.prod(y.shape[1:]),
    ops.linear: lambda xs, y, **_: y.size * xs[1].shape[1],
    ops.matrix_multiply: lambda xs, y, **_: y.size * xs[0].shape[-1],
    ops.contract: _contraction,
    ops.fastfood: lambda xs, y, **_: 2 * y.size * (xs[1].shape[1].bit_length() - 1),
}


@dataclass
class Row:
    """One call of one module: sizes and costs without those of modules inside it.

    ``shape`` is that of the output (a list of shapes if it has several tensors, None if
    the module was not called); ``memory`` the output's bytes, also where it is a view.
    """

    name: str
    kind: str
    shape: tuple | list | None
    parameters: int
    madds: int = 0
    memory: int = 0


class Count(NamedTuple):
    """Numbers in a model's parameters and buffers; multiply-adds for one input."""

    parameters: int
    buffers: int
    madds: int


class Total(NamedTuple):
    """Sums over all rows."""

    parameters: int
    madds: int
    memory: int


@dataclass(frozen=True)
class Summary:
    """The rows of a `summary` in the order of the calls; printed, a table."""

    rows: list[Row]
    input_shape: tuple

    @property
    def total(self) -> Total:
        """Parameters (each once), multiply-adds and bytes of outputs of the model."""
        return Total(
            *(sum(getattr(row, name) for row in self.rows) for name in Total._fields)
        )

    def __rich__(self):
        from rich import box
        from rich.table import Table

        table = Table(
            box=box.SIMPLE,
            show_footer=True,
            title_justify="left",
            title=f"input {_shown(self.input_shape)}",
        )
        total = self.total
        for header, footer, justify in (
            ("layer", "total", "left"),
            ("type", "", "left"),
            ("output", "", "left"),
            ("parameters", f"{total.parameters:,}", "right"),
            ("MAdds", f"{total.madds:,}", "right"),
            ("memory", _bytes(total.memory), "right"),
        ):
            table.add_column(header, footer, justify=justify, overflow="fold")
        for row in self.rows:
            table.add_row(
                row.name,
                row.kind,
                _shown(row.shape),
                f"{row.parameters:,}",
                f"{row.madds:,}",
                _bytes(row.memory),
            )
        return table

    def __str__(self):
        from io import StringIO

        from rich.console import Console

        out = StringIO()
        Console(
            file=out,
            width=80,
            color_system=None,
            force_terminal=False,
            force_jupyter=False,
        ).print(self)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip(
            "\n"
        )


def _shown(shape):
    if shape is None:
        return "not called"
    if isinstance(shape, list):
        return ", ".join(map(_shown, shape))
    return "x".join(map(str, shape)) or "scalar"


def _bytes(n):
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.4g} {unit}"
        n /= 1024
    return f"{n:,.4g} GiB"


def _tensors(output):
    """The Tensors in an output of nested tuples, lists and dicts."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    nested = isinstance(output, dict | tuple | list)
    return [t for part in parts for t in _tensors(part)] if nested else []


class _Recorder:
    """Rows of one run: every module's forward is wrapped while the recorder is open."""

    def __init__(self, model):
        self.modules = list(model.named_modules())
        self.rows, self.running, self.counted, self.failed = [], [], set(), None

    def uncounted(self, module):
        """Elements of the module's own parameters that are in no row yet."""
        own = {id(p): p for p in vars(module).values() if isinstance(p, Parameter)}
        new = own.keys() - self.counted
        self.counted |= new
        return sum(own[key].numel() for key in new)

    def watch(self, op, arrays, options, y):
        """Charge an op to the innermost module that is running."""
        if op in MULTIPLY_ADDS and self.running:
            self.running[-1].madds += MULTIPLY_ADDS[op](arrays, y, **options)

    def wrapped(self, name, module):
        forward = module.forward

        def recorded(*args, **kwargs):
            row = Row(name, type(module).__name__, None, self.uncounted(module))
            self.rows.append(row)
            self.running.append(row)
            try:
                output = forward(*args, **kwargs)
            except Exception:
                self.failed = self.failed or f"{name or 'model'} ({row.kind})"
                raise
            finally:
                self.running.pop()
            found = _tensors(output)
            shapes = [t.shape for t in found]
            row.shape = shapes[0] if len(shapes) == 1 else shapes
            row.memory = sum(t.numel() * t.dtype.itemsize for t in found)
            return output

        return recorded

    def __enter__(self):
        self.before = [(module, dict(vars(module))) for _, module in self.modules]
        self.random = random.get_state()
        for name, module in self.modules:
            module.training = False
            module.forward = self.wrapped(name, module)
        return self

    def __exit__(self, *exc):
        for module, attributes in self.before:
            vars(module).clear()
            vars(module).update(attributes)
        random.set_state(self.random)


def _worth_a_row(row, names):
    """Leaves, and containers that do something themselves."""
    inside = f"{row.name}." if row.name else ""
    leaf = not any(name != row.name and name.startswith(inside) for name in names)
    return leaf or row.parameters or row.madds


def summary(model: Module, input_shape, batch: int = 1, dtype=None) -> Summary:
    """Layers, output shapes, parameters, multiply-adds and memory of ``model``.

    The model runs once, in evaluation mode, on zeros of shape (batch, *input_shape),
    of ``dtype`` (default: the parameters'); modes, weights, running statistics and the
    random generator are afterwards what they were.

    A multiply-add counts 1. Counted is what convolutions and matrix products execute,
    without bias, normalisation, activation or pooling, each charged to the innermost
    module running; resizing by matrices (`adaptive_avg_pool2d`, bilinear `interpolate`)
    is such a product, and of Fastfood it is the additions. A module called twice has
    two rows, its parameters in the first.

    Raises: ArgumentError; what the model raises, naming the layer, on a wrong shape.
    """
    sizes = input_shape if isinstance(input_shape, tuple | list) else (input_shape,)
    shape = (
        whole("summary", "batch", batch),
        *(whole("summary", "input_shape", n) for n in sizes),
    )
    first = next(model.parameters(), None)
    dtype = dtype or (first.dtype if first is not None else "float32")
    device = first.device if first is not None else "cpu"
    x = Tensor(
        backend.asarray(np.zeros(shape), backend.check_dtype("summary", dtype), device)
    )
    recorder = _Recorder(model)
    try:
        with recorder, no_grad(), watch_ops(recorder.watch), np.errstate(all="ignore"):
            model(x)
    except MinidlError as error:
        raise type(error)(
            f"summary: {recorder.failed} refused input_shape {shape[1:]}: {error}"
        ) from error
    rows = [row for row in recorder.rows if _worth_a_row(row, dict(recorder.modules))]
    for name, module in recorder.modules:
        if count := recorder.uncounted(module):
            rows.append(Row(name, type(module).__name__, None, count))
    return Summary(rows, shape)


def count(model: Module, input_shape) -> Count:
    """What a model costs: parameters, buffers, multiply-adds of one input.

    Parameters are what is trained: weights, biases, scale and shift of batch norm, each
    once. Buffers are the other numbers of the state, such as running statistics; what
    some libraries call the total is the sum of both. A multiply-add counts 1, as papers
    on mobile networks count: one for each product of a convolution or a matrix product,
    none for bias, normalisation, activation, pooling or shift; half of what is called
    FLOPs elsewhere.

    Shapes: input_shape (C, H, W), without the batch.
    Raises: ArgumentError; what the model raises, naming the layer, on a wrong shape.
    """
    total = summary(model, input_shape).total
    buffers = sum(b.numel() for _, b in model.named_buffers())
    return Count(total.parameters, buffers, total.madds)
