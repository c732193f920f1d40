"""Everyday tensor functions in torch's signatures, as compositions of primitives."""

import builtins
import math
from typing import NamedTuple

import numpy as np

from .. import backend, ops
from ..errors import ArgumentError, DtypeError, RangeError, ShapeError, unknown_name
from ..ops._geometry import axes, axis
from ..tensor import Tensor


class Extreme(NamedTuple):
    """What `max` and `min` along an axis return."""

    values: Tensor
    indices: Tensor


def _count(where, x, dim):
    n = math.prod(x.shape[i] for i in axes(where, dim, x.ndim) if x.ndim)
    if n == 0:
        raise ShapeError(f"{where}: reduced axes must not be empty; got {x.shape}")
    return n


def mean(x, dim=None, keepdim=False):
    """The mean over ``dim`` (None: all axes)."""
    n = float(_count("mean", x, dim))
    if x.dtype.kind != "f":
        raise DtypeError(
            f"mean: tensor must be float32 or float64; got {x.dtype}; use .to(dtype)"
        )
    return ops.sum(x, dim=dim, keepdim=keepdim) / n


def var(x, dim=None, *, correction=1, keepdim=False):
    """``sum((x - mean)^2) / (n - correction)`` over ``dim``."""
    rest = _count("var", x, dim) - correction
    if rest <= 0:
        raise ShapeError(f"var: needs more than {correction} elements; got {x.shape}")
    d = x - mean(x, dim, True)
    return ops.sum(d * d, dim=dim, keepdim=keepdim) / float(rest)


def _extreme(name, x, dim, keepdim):
    _count(name, x, dim)
    if dim is None:  # torch, too, shares the gradient among equal ones only here
        return getattr(ops, f"a{name}")(x)
    dim = axis(name, dim, x.ndim)
    at = getattr(ops, f"arg{name}")(x, dim=dim, keepdim=True)
    values = ops.gather_along(x, at, dim=dim) if x.ndim else x
    if keepdim or not x.ndim:
        return Extreme(values, at)
    return Extreme(squeeze(values, dim), squeeze(at, dim))


def max(x, dim=None, keepdim=False):
    """The largest of all elements, or with ``dim`` the pair ``(values, indices)``.

    Ties: over all elements equal ones share the gradient evenly; along ``dim`` the
    first one takes it, as its index is the one returned. `amax` always shares.
    """
    return _extreme("max", x, dim, keepdim)


def min(x, dim=None, keepdim=False):
    """The smallest of all elements, or with ``dim`` the pair ``(values, indices)``.

    Ties are treated as in `max`.
    """
    return _extreme("min", x, dim, keepdim)


def transpose(x, dim0, dim1):
    """Axes ``dim0`` and ``dim1`` exchanged."""
    order = list(range(x.ndim))
    i, j = axis("transpose", dim0, x.ndim), axis("transpose", dim1, x.ndim)
    if order:
        order[i], order[j] = j, i
    return ops.permute(x, dims=tuple(order))


def squeeze(x, dim=None):
    """Without its axes of size 1 (only those in ``dim``, if given)."""
    over = axes("squeeze", dim, x.ndim)
    kept = tuple(n for i, n in enumerate(x.shape) if i not in over or n != 1)
    return ops.reshape(x, shape=kept)


def unsqueeze(x, dim):
    """With a new axis of size 1 at ``dim``."""
    at = axis("unsqueeze", dim, x.ndim + 1)
    return ops.reshape(x, shape=(*x.shape[:at], 1, *x.shape[at:]))


def flatten(x, start_dim=0, end_dim=-1):
    """The axes from ``start_dim`` to ``end_dim`` merged into one."""
    a, b = axis("flatten", start_dim, x.ndim), axis("flatten", end_dim, x.ndim)
    if a > b:
        raise ArgumentError(
            f"flatten: start_dim must not come after end_dim; got {a}, {b}"
        )
    merged = math.prod(x.shape[a : b + 1])
    return ops.reshape(x, shape=(*x.shape[:a], merged, *x.shape[b + 1 :]))


def expand(x, *sizes):
    """Size-1 axes repeated to ``sizes`` without copying; -1 keeps a size."""
    sizes = (
        sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    )
    lead = len(sizes) - x.ndim
    shape = [
        x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(sizes)
    ]
    unknown = not all(hasattr(n, "__index__") and n >= 0 for n in shape)
    if (
        lead < 0
        or unknown
        or any(m not in (1, n) for m, n in zip(x.shape, shape[lead:]))
    ):
        raise ShapeError(
            f"expand: sizes must extend {x.shape} at axes of size 1; got {tuple(sizes)}"
        )
    return ops.broadcast_to(x, shape=tuple(shape))


def stack(tensors, dim=0):
    """Tensors of one shape joined along a new axis ``dim``."""
    tensors = list(tensors)
    if not tensors or len({t.shape for t in tensors}) > 1:
        shapes = ", ".join(str(t.shape) for t in tensors) or "none"
        raise ShapeError(f"stack: tensors must have one shape; got {shapes}")
    dim = axis("stack", dim, tensors[0].ndim + 1)
    return concatenate([unsqueeze(t, dim) for t in tensors], dim)


def concatenate(tensors, dim=0):
    """Tensors joined along the existing axis ``dim``."""
    tensors = list(tensors)
    if not tensors:
        raise ShapeError("concatenate: tensors must not be an empty list")
    return ops.concatenate(*tensors, dim=dim)


def split(x, split_size_or_sections, dim=0):
    """Pieces along ``dim``: all of one size (the last may be less), or of sizes."""
    at, sizes = axis("split", dim, x.ndim), split_size_or_sections
    parts = sizes if isinstance(sizes, tuple | list) else (sizes,)
    if not x.ndim or not all(hasattr(n, "__index__") for n in parts):
        raise ArgumentError(
            f"split: input must have an axis and sizes must be integers; "
            f"got {x.shape}, {sizes!r}"
        )
    n = x.shape[at]
    if isinstance(sizes, int):
        if sizes < 1:
            raise ArgumentError(f"split: size must be >= 1; got {sizes}")
        sizes = [builtins.min(sizes, n - i) for i in range(0, n, sizes)] or [0]
    if sum(sizes) != n or builtins.min(sizes) < 0:
        raise ArgumentError(f"split: sizes must add up to {n}; got {list(sizes)}")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(
        x[(slice(None),) * at + (slice(end - size, end),)]
        for size, end in zip(sizes, ends)
    )


def gather(x, dim, index):
    """``y[i, j] = x[i, index[i, j]]`` for dim 1, and so on: index has the rank of x."""
    return ops.gather_along(x, index, dim=dim)


def scatter_add(x, dim, index, src):
    """A copy of x with ``y[i, index[i, j]] += src[i, j]`` for dim 1, and so on."""
    return ops.scatter_add_along(x, index, src, dim=dim)


def take_along_axis(x, indices, dim):
    """NumPy's take_along_axis: `gather` with x and indices broadcast to each other."""
    at = axis("take_along_axis", dim, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis: indices must have rank {x.ndim}; got {indices.shape}"
        )
    try:
        rest = list(
            np.broadcast_shapes(
                *[(*t.shape[:at], 1, *t.shape[at + 1 :]) for t in (x, indices)]
            )
        )
    except ValueError:
        raise ShapeError(
            f"take_along_axis: shapes must broadcast but along dim {at}; "
            f"got {x.shape} and {indices.shape}"
        ) from None
    shapes = [(*rest[:at], t.shape[at], *rest[at + 1 :]) for t in (x, indices)]
    x, indices = (ops.broadcast_to(t, shape=s) for t, s in zip((x, indices), shapes))
    return ops.gather_along(x, indices, dim=at)


def matmul(x, y):
    """The matrix product; vectors count as a row on the left, a column on the right."""
    if not (hasattr(x, "ndim") and hasattr(y, "ndim")):
        kinds = f"{type(x).__name__}, {type(y).__name__}"
        raise DtypeError(f"matmul: arguments must be tensors; got {kinds}")
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(
            f"matmul: tensors must be at least 1-D; got {x.shape}, {y.shape}"
        )
    a = unsqueeze(x, 0) if x.ndim == 1 else x
    b = unsqueeze(y, 1) if y.ndim == 1 else y
    out = ops.matrix_multiply(a, b)
    if y.ndim == 1:
        out = squeeze(out, -1)
    return squeeze(out, -1 if y.ndim == 1 else -2) if x.ndim == 1 else out


def _einsum_labels(equation, operands):
    """Each operand's labels and the output's, with ``...`` written out as capitals."""
    equation = equation.replace(" ", "")
    inputs, arrow, out = equation.partition("->")
    terms = inputs.split(",")
    if not all((t.replace("...", "", 1) + "a").isalpha() for t in (*terms, out)):
        raise ArgumentError(
            f"einsum: {equation!r} must be letters and one ... in each term"
        )
    if len(terms) != len(operands):
        raise ArgumentError(
            f"einsum: {equation!r} must name {len(operands)} operands; got {len(terms)}"
        )
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in equation]
    extra = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands)]
    if any(n < 0 or (n > 0 and "..." not in t) for n, t in zip(extra, terms)):
        shapes = ", ".join(str(x.shape) for x in operands)
        raise ShapeError(f"einsum: {equation!r} must label each axis of {shapes}")
    widest = spare[: builtins.max(extra)]
    terms = [
        t.replace("...", "".join(widest[len(widest) - n :]))
        for t, n in zip(terms, extra)
    ]
    if not arrow:
        joined = "".join(terms)
        out = "..." + "".join(
            sorted(c for c in set(joined) if joined.count(c) == 1 and c not in widest)
        )
    out = out.replace("...", "".join(widest))
    if not set(out) <= set("".join(terms)) or len(set(out)) < len(out):
        raise ArgumentError(
            f"einsum: output of {equation!r} must use each input label once"
        )
    return terms, out, spare[len(widest) :]


def einsum(equation, *operands):
    """Einstein's sum: labels that the output omits are summed.

    ``einsum("bij,bjk->bik", x, y)`` is a batched matmul; ``...`` stands for all other
    axes; a label twice in one operand takes its diagonal; without ``->`` the output has
    the labels that occur once, in alphabetical order.
    """
    terms, out, spare = _einsum_labels(equation, operands)
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands):
        for label, n in zip(term, x.shape):
            if n != x.shape[term.index(label)]:
                raise ShapeError(
                    f"einsum: the diagonal over {label!r} must be of a square; "
                    f"got {x.shape}"
                )
            if n != 1 and sizes.setdefault(label, n) != n:
                raise ShapeError(
                    f"einsum: label {label!r} must have one size; "
                    f"got {sizes[label]} and {n}"
                )
    labels, xs = [], []
    for term, x in zip(terms, operands):
        for label in sorted(set(term)):
            while term.count(label) > 1:  # a diagonal: times the identity matrix
                fresh, at = spare.pop(), term.rindex(label)
                term = term[:at] + fresh + term[at + 1 :]
                labels.append(label + fresh)
                xs.append(backend.xp_of(x.data).eye(x.shape[at], dtype=x.dtype))
        ones = [
            i for i, c in enumerate(term) if x.shape[i] == 1 and sizes.get(c, 1) != 1
        ]
        labels.append("".join(c for i, c in enumerate(term) if i not in ones))
        xs.append(squeeze(x, tuple(ones)) if ones else x)
    for label in out:  # an axis of size 1 everywhere, squeezed nowhere, stays as it is
        sizes.setdefault(label, 1)
    return ops.contract(*xs, subscripts=f"{','.join(labels)}->{out}")


def pad(x, pad, mode="constant", value=0.0):
    """``x`` with borders: ``pad`` lists (before, after) from the last axis backwards.

    mode: "constant" (``value``), "reflect", "replicate" or "circular".
    """
    modes = {
        "constant": "constant",
        "reflect": "reflect",
        "replicate": "edge",
        "circular": "wrap",
    }
    if mode not in modes:
        raise unknown_name("pad mode", mode, modes)
    whole = isinstance(pad, tuple | list) and all(hasattr(n, "__index__") for n in pad)
    if (
        not whole
        or len(pad) % 2
        or len(pad) > 2 * x.ndim
        or builtins.min(pad, default=0) < 0
    ):
        raise ArgumentError(
            f"pad: pad must be pairs of integers >= 0 for at most {x.ndim} "
            f"axes; got {pad}"
        )
    pads = [(0, 0)] * (x.ndim - len(pad) // 2)
    pads += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    if mode == "constant":
        return ops.constant_pad(
            x, pads=tuple(pads), value=0.0 if value is None else value
        )
    for i, (before, after) in enumerate(pads):
        limit = {"reflect": x.shape[i] - 1, "circular": x.shape[i]}.get(mode)
        limit = 0 if x.shape[i] == 0 else limit
        if limit is not None and builtins.max(before, after) > limit:
            raise ArgumentError(
                f"pad: mode {mode!r} takes at most {limit} for axis {i} of "
                f"size {x.shape[i]}; got {(before, after)}"
            )
        if before or after:
            at = np.pad(np.arange(x.shape[i]), (before, after), modes[mode])
            x = x[(slice(None),) * i + (at,)]
    return x


def one_hot(index, num_classes=-1):
    """int64 (..., num_classes): 1 at each index, else 0; -1: the largest index + 1."""
    if index.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: index must be integers; got {index.dtype}")
    xp = backend.xp_of(index.data)
    low, high = (int(f(index.data)) if index.numel() else 0 for f in (xp.min, xp.max))
    classes = high + 1 if num_classes == -1 else num_classes
    if num_classes == -1 and not index.numel():
        raise ArgumentError("one_hot: num_classes must be given for an empty index")
    if low < 0 or high >= classes:
        raise RangeError(
            f"one_hot: index must be in [0, {classes}); got {low} to {high}"
        )
    return Tensor((index.data[..., None] == xp.arange(classes)).astype("int64"))


def embedding(index, weight):
    """Rows of ``weight`` (num, features) at ``index`` (...): (..., features)."""
    if index.dtype.kind not in "iu":
        raise DtypeError(f"embedding: index must be integers; got {index.dtype}")
    if weight.ndim != 2:
        raise ShapeError(
            f"embedding: weight must be (num, features); got {weight.shape}"
        )
    i = index.data if isinstance(index, Tensor) else index
    if (
        isinstance(i, np.ndarray)
        and i.size
        and not 0 <= i.min() <= i.max() < len(weight)
    ):
        raise RangeError(
            f"embedding: index must be in [0, {len(weight)}); got values from "
            f"{i.min()} to {i.max()}"
        )
    return weight[i]
