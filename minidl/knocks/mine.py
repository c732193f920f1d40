"""The learner's own pieces in place of the reference's: ``--mine``.

In grading, ``from solutions.x.kNNN import f`` then finds what the learner has solved.
In training, convolution, pooling, batch norm, cross-entropy and the optimiser's step
are theirs. Only first derivatives: a learner's backward works on arrays.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import spec_from_file_location
from pathlib import Path

import numpy as np

from .. import functional, optim
from ..errors import MinidlError
from ..primitive import Primitive
from ..tensor import Tensor
from . import progress
from .catalogue import Entry, KnockError, all_knocks

# What a network may be trained on: the knock, and what it brings.
PIECES = {
    "k015": ("cross_entropy",),
    "k019": ("SGD", "Adam"),
    "k025": ("conv2d",),
    "k027": ("max_pool2d", "avg_pool2d"),
    "k028": ("batch_norm",),
}


class Redirect(MetaPathFinder):
    """Imports of some solutions find the learner's files instead."""

    def __init__(self, entries: list[Entry]):
        self.files = {f"solutions.{e.track}.{e.stem}": e.exercise for e in entries}

    def find_spec(self, name, path=None, target=None):
        file = self.files.get(name)
        return file and spec_from_file_location(name, file)


def solved(root: Path) -> list[Entry]:
    """The knocks that are solved, by graders that have not changed since."""
    done, _ = progress.load(root)
    return [e for e in all_knocks(root) if progress.is_solved(e, done)]


@contextmanager
def redirected(entries: list[Entry]) -> Iterator[None]:
    """While it lasts, ``solutions`` are imported from the learner's files."""
    _forget()
    finder = Redirect(entries)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget()


def _forget():
    for name in [n for n in sys.modules if n.split(".")[0] == "solutions"]:
        del sys.modules[name]


@contextmanager
def installed(root: Path) -> Iterator[list[str]]:
    """While it lasts, networks run on the learner's pieces; yields a line for each.

    Raises: KnockError if no piece is solved yet, or one does not load.
    """
    entries = {e.name: e for e in solved(root)}
    there = [name for name in PIECES if name in entries]
    if not there:
        wanted = ", ".join(PIECES)
        raise KnockError(f"--mine: none of {wanted} is solved yet; see 'minidl'")
    kept, lines = [], []
    sys.path.insert(0, str(root))
    try:
        with redirected(list(entries.values())):
            for name in PIECES:
                brings = " and ".join(PIECES[name])
                if name not in entries:
                    lines.append(f"{brings}: the engine's ({name} is not solved)")
                    continue
                module = _load(entries[name])
                for target, attribute, own in _makers[name](module):
                    kept.append((target, attribute, getattr(target, attribute)))
                    setattr(target, attribute, own)
                lines.append(f"{brings}: yours ({name})")
            yield lines
    finally:
        for target, attribute, old in reversed(kept):
            setattr(target, attribute, old)
        sys.path.remove(str(root))


def _load(entry: Entry):
    from importlib import import_module

    try:
        return import_module(f"solutions.{entry.track}.{entry.stem}")
    except MinidlError:
        raise
    except Exception as error:
        raise KnockError(
            f"{entry.exercise}: {type(error).__name__}: {error}"
        ) from error


def _op(name, forward, vjps) -> Primitive:
    """A primitive that is not in the registry: its samples are the knock's checks."""
    op = Primitive(forward, None, False, False, lambda r: [])
    op.name = name
    op.defvjp(*vjps)
    return op


class _Once:
    """A backward that gives several gradients at once, asked for one after another."""

    def __init__(self, backward):
        self.backward, self.key, self.found = backward, None, None

    def __call__(self, i, g, *args, **options):
        key = (id(g), *map(id, args))
        if key != self.key:
            found = self.backward(g, *args, **options)
            self.found = found if isinstance(found, tuple | list) else (found,)
            self.key, self._held = key, (g, args)  # held, so that no id is used again
        return Tensor(np.asarray(self.found[i]))


def _square(value):
    """The number that stands for both axes, or None if they differ."""
    pair = (value, value) if isinstance(value, int) else value
    one = isinstance(pair, tuple | list) and len(pair) == 2 and pair[0] == pair[1]
    return pair[0] if one and isinstance(pair[0], int) else None


def _conv2d(module):
    def conv2d(x, weight, *, stride, padding, dilation):
        return np.asarray(module.conv2d(x, weight, stride, padding, dilation))

    back = _Once(module.conv2d_backward)
    op = _op(
        "conv2d",
        conv2d,
        [
            lambda g, _y, x, w, **o: back(0, g.data, x.data, w.data, **o),
            lambda g, _y, x, w, **o: back(1, g.data, x.data, w.data, **o),
        ],
    )
    engine = functional.conv2d

    def own(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        options = dict(
            zip(
                ("stride", "padding", "dilation"),
                map(_square, (stride, padding, dilation)),
            )
        )
        if groups != 1 or None in options.values():
            return engine(x, weight, bias, stride, padding, dilation, groups)
        y = op(x, weight, **options)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    return [(functional, "conv2d", own)]


def _pool(module):
    def own(name):
        forward = getattr(module, name)
        back = _Once(getattr(module, f"{name}_backward"))

        def pool(x, *, size):
            return np.asarray(forward(x, size))

        op = _op(name, pool, [lambda g, _y, x, **o: back(0, g.data, x.data, **o)])
        engine = getattr(functional, name)

        def call(x, kernel_size, stride=None, padding=0, *rest, **options):
            size = _square(kernel_size)
            plain = size is not None and stride in (None, size, (size, size))
            defaults = options.pop("dilation", 1) in (1, (1, 1))
            defaults = defaults and not options.pop("ceil_mode", False)
            if plain and defaults and padding in (0, (0, 0)) and not rest:
                return op(x, size=size)
            return engine(x, kernel_size, stride, padding, *rest, **options)

        return functional, name, call

    return [own("max_pool2d"), own("avg_pool2d")]


def _batch_norm(module):
    engine = functional.batch_norm

    def own(
        x,
        running_mean,
        running_var,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
        *,
        relu=False,
    ):
        parts = running_mean, running_var, weight, bias
        if not training or x.ndim != 4 or any(part is None for part in parts):
            return engine(x, *parts, training, momentum, eps, relu=relu)
        mean, var = running_mean.data, running_var.data

        def batch_norm(x, weight, bias):
            y, new_mean, new_var = module.batch_norm(
                x, weight, bias, mean, var, True, momentum, eps
            )
            running_mean.data[...], running_var.data[...] = new_mean, new_var
            return np.asarray(y)

        back = _Once(module.batch_norm_backward)
        op = _op(
            "batch_norm",
            batch_norm,
            [
                lambda g, _y, x, w, _b, i=i: back(i, g.data, x.data, w.data, eps)
                for i in range(3)
            ],
        )
        y = op(x, weight, bias)
        return functional.relu(y) if relu else y

    return [(functional, "batch_norm", own)]


def _cross_entropy(module):
    def cross_entropy(logits, labels):
        return np.asarray(module.cross_entropy(logits, labels), logits.dtype)

    back = _Once(module.cross_entropy_backward)
    op = _op(
        "cross_entropy",
        cross_entropy,
        [lambda g, _y, x, labels: back(0, g.data, x.data, labels.data), None],
    )
    engine = functional.cross_entropy

    def own(logits, target, *, reduction="mean", label_smoothing=0.0):
        classes = logits.ndim == 2 and getattr(target, "dtype", None) == "int64"
        if not classes or reduction != "mean" or label_smoothing:
            return engine(
                logits, target, reduction=reduction, label_smoothing=label_smoothing
            )
        return op(logits, target)

    return [(functional, "cross_entropy", own)]


def _steps(module):
    def sgd(self, p, g, state, group):
        if group["nesterov"] or group["dampening"]:
            return engine_sgd(self, p, g, state, group)
        g = g + group["weight_decay"] * p if group["weight_decay"] else g
        v = state.get("momentum_buffer", np.zeros_like(p))
        p[...], v[...] = module.sgd(p, g, v, float(group["lr"]), group["momentum"])
        return None

    def adam(self, p, g, state, group):
        if self.decoupled or group["weight_decay"]:
            return engine_adam(self, p, g, state, group)
        m, v, t = state["exp_avg"], state["exp_avg_sq"], state["step"]
        betas, lr, eps = group["betas"], float(group["lr"]), group["eps"]
        p[...], m[...], v[...] = module.adam(p, g, m, v, t, lr, *betas, eps)
        return None

    engine_sgd, engine_adam = optim.SGD.update, optim.Adam.update
    return [(optim.SGD, "update", sgd), (optim.Adam, "update", adam)]


_makers = {
    "k015": _cross_entropy,
    "k019": _steps,
    "k025": _conv2d,
    "k027": _pool,
    "k028": _batch_norm,
}
