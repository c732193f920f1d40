"""What every primitive computes, said a second time in plain Python.

Nothing here shares code or formulation with `minidl`: loops over indices, the `math`
module, lists. A reference takes float64 (or integer, bool) arrays and options as the op
does, and returns an array or a number.
"""

import itertools
import math
import operator
from decimal import Decimal

import numpy as np
from reference_norm import (
    batch_norm,
    batch_norm_input,
    batch_norm_sums,
    channel_affine,
    cross_entropy,
    cross_entropy_input,
)
from reference_transforms import (
    fastfood,
    fastfood_b,
    fastfood_g,
    fastfood_input,
    fastfood_s,
    from_sequency,
    fwht,
    shift,
    to_sequency,
)
from reference_windows import (
    avg_pool2d,
    avg_pool2d_spread,
    conv2d,
    conv2d_input,
    conv2d_weight,
    fold,
    max_pool2d_gather,
    max_pool2d_scatter,
    unfold,
)


def at(a, index):
    """The element of ``a`` (array or number) that broadcasting puts at ``index``."""
    a = np.asarray(a)
    own = index[len(index) - a.ndim :]
    return a[tuple(0 if n == 1 else i for n, i in zip(a.shape, own))].item()


def common_shape(arrays):
    """The shape that ``arrays`` broadcast to."""
    shapes = [np.shape(a)[::-1] for a in arrays]
    columns = itertools.zip_longest(*shapes, fillvalue=1)
    return tuple(next((n for n in c if n != 1), 1) for c in columns)[::-1]


def table(shape, value, dtype=np.float64):
    """The array whose element at each index is ``value(index)``."""
    y = np.zeros(shape, dtype)
    for index in np.ndindex(*y.shape):
        y[index] = value(index)
    return y


def each(function, dtype=np.float64):
    """The reference of an elementwise op, from a function of Python numbers."""

    def reference(*arrays, **options):
        return table(
            common_shape(arrays),
            lambda i: function(*(at(a, i) for a in arrays), **options),
            dtype,
        )

    return reference


def softplus(x, beta=1.0, threshold=20.0):
    z = beta * x
    return x if z > threshold else (max(z, 0.0) + math.log1p(math.exp(-abs(z)))) / beta


def leaky_relu(x, negative_slope=0.01):
    return x if x > 0 else negative_slope * x


def clip(x, min=None, max=None):
    x = min if min is not None and x < min else x
    return max if max is not None and x > max else x


def contract(*xs, subscripts):
    """Every assignment of all labels: one product, added at the output's labels."""
    inputs, out = subscripts.split("->")
    terms = inputs.split(",")
    sizes = {c: n for term, x in zip(terms, xs) for c, n in zip(term, x.shape)}
    y = np.zeros([sizes[c] for c in out])
    for values in itertools.product(*(range(n) for n in sizes.values())):
        where = dict(zip(sizes, values))
        factors = [x[tuple(where[c] for c in t)] for t, x in zip(terms, xs)]
        y[tuple(where[c] for c in out)] += math.prod(factors)
    return y


def matrix_multiply(x, y):
    def stacked(a):
        return np.empty(a.shape[:-2])

    shape = (*common_shape([stacked(x), stacked(y)]), x.shape[-2], y.shape[-1])

    def entry(index):
        *lead, i, j = index
        own = (zip(m.shape, lead[len(lead) - m.ndim + 2 :]) for m in (x, y))
        a, b = (m[tuple(0 if n == 1 else k for n, k in o)] for m, o in zip((x, y), own))
        return math.fsum(a[i, k] * b[k, j] for k in range(x.shape[-1]))

    return table(shape, entry)


def linear(x, weight, bias=None):
    def entry(index):
        *lead, o = index
        row = x[tuple(lead)]
        total = math.fsum(row[k] * weight[o, k] for k in range(len(row)))
        return total if bias is None else total + bias[o]

    return table((*x.shape[:-1], len(weight)), entry)


def groups_of(x, dim, keepdim):
    """{output index: the elements of ``x`` reduced into it}, and the output's shape."""
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    gone = {d % max(x.ndim, 1) for d in dims}
    shape = [1 if i in gone else n for i, n in enumerate(x.shape)
             if keepdim or i not in gone]
    groups = {index: [] for index in np.ndindex(*shape)}
    for index in np.ndindex(*x.shape):
        place = [0 if i in gone else k for i, k in enumerate(index)
                 if keepdim or i not in gone]
        groups[tuple(place)].append(x[index].item())
    return groups, shape


def reduce(function, dtype=np.float64):
    """The reference of a reduction, from a function of a list."""

    def reference(x, dim=None, keepdim=False):
        groups, shape = groups_of(x, dim, keepdim)
        return table(shape, lambda i: function(groups[i]), dtype)

    return reference


def logsumexp(values):
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


def along(function):
    """The reference of an op that maps each line along ``dim`` to a line."""

    def reference(x, dim):
        y = np.zeros(x.shape)
        dim %= x.ndim
        others = [range(n) for i, n in enumerate(x.shape) if i != dim]
        for place in itertools.product(*others):
            line = (*place[:dim], slice(None), *place[dim:])
            y[line] = function([v.item() for v in x[line]])
        return y

    return reference


def log_softmax(line):
    return [v - logsumexp(line) for v in line]


def reshape(x, shape):
    shape = list(shape) if isinstance(shape, tuple) else [shape]
    if -1 in shape:
        shape[shape.index(-1)] = x.size // -math.prod(shape)
    elements = iter(x.ravel().tolist())
    return table(shape, lambda _: next(elements))


def permute(x, dims):
    dims = [d % x.ndim for d in dims]
    y = np.zeros([x.shape[d] for d in dims])
    for index in np.ndindex(*x.shape):
        y[tuple(index[d] for d in dims)] = x[index]
    return y


def flip(x, dims):
    dims = {d % x.ndim for d in (dims if isinstance(dims, tuple) else (dims,))}
    return table(x.shape, lambda index: x[tuple(
        x.shape[i] - 1 - k if i in dims else k for i, k in enumerate(index))])


def concatenate(*xs, dim=0):
    dim %= xs[0].ndim
    owners = [(x, k) for x in xs for k in range(x.shape[dim])]
    shape = (*xs[0].shape[:dim], len(owners), *xs[0].shape[dim + 1 :])

    def entry(index):
        x, k = owners[index[dim]]
        return x[(*index[:dim], k, *index[dim + 1 :])]

    return table(shape, entry)


def constant_pad(x, pads, value=0.0):
    def entry(index):
        old = [k - before for k, (before, _) in zip(index, pads)]
        inside = all(0 <= k < n for k, n in zip(old, x.shape))
        return x[tuple(old)] if inside else value

    return table([a + n + b for n, (a, b) in zip(x.shape, pads)], entry)


def unmasked(i):
    """A boolean mask as one integer array per axis; anything else unchanged."""
    if not isinstance(i, np.ndarray) or i.dtype.kind != "b":
        return [i]
    hits = [k for k in np.ndindex(*i.shape) if i[k]]
    return [np.array([k[d] for k in hits], np.int64) for d in range(i.ndim)]


def addresses(shape, index):
    """{place in ``x[index]``: place in x} and the shape of ``x[index]``."""
    index = list(index) if isinstance(index, tuple) else [index]
    index = [part for i in index for part in unmasked(i)]
    used = sum(i is not None and i is not Ellipsis for i in index)
    if not any(i is Ellipsis for i in index):
        index.append(Ellipsis)
    here = next(k for k, i in enumerate(index) if i is Ellipsis)
    index[here : here + 1] = [slice(None)] * (len(shape) - used)
    arrays = [i for i in index if isinstance(i, np.ndarray)]
    kinds = np.ndarray | int if arrays else ()
    fancy = [k for k, i in enumerate(index) if isinstance(i, kinds)]
    joint = common_shape(arrays)
    together = bool(fancy) and fancy == list(range(fancy[0], fancy[-1] + 1))
    sources, out, axis = [], [], 0  # sources: for each axis of x, from joint and place
    start = None if together else 0
    for k, i in enumerate(index):
        if k in fancy and together and start is None:
            start = len(out)
        if i is None:
            out.append(1)
            continue
        n = shape[axis]
        axis += 1
        if k in fancy or isinstance(i, int):
            sources.append(lambda j, rest, i=i, n=n: at(i, j) % n)
        else:
            steps = range(n)[i]
            sources.append(lambda j, rest, s=steps, k=len(out): s[rest[k]])
            out.append(len(steps))
    start = start or 0
    places = {
        (*rest[:start], *j, *rest[start:]): tuple(f(j, rest) for f in sources)
        for rest in np.ndindex(*out) for j in np.ndindex(*joint)
    }
    return places, (*out[:start], *joint, *out[start:])


def getitem(x, index):
    places, shape = addresses(x.shape, index)
    return table(shape, lambda i: x[places[i]])


def putitem(g, index, shape):
    y = np.zeros(shape)
    for place, source in addresses(shape, index)[0].items():
        y[source] += g[place]
    return y


def moved(index, dim, k):
    dim %= len(index)
    return (*index[:dim], k, *index[dim + 1 :])


def scatter_add_along(x, index, src, dim):
    y = x.copy()
    for i in np.ndindex(*index.shape):
        y[moved(i, dim, index[i])] += src[i]
    return y


def cast(x, dtype):
    kind = {"float": float, "int": int}[dtype.rstrip("0123456789")]
    return table(x.shape, lambda i: kind(x[i].item()), dtype)


def sum_to(x, shape):
    y = np.zeros(shape)
    for i in np.ndindex(*x.shape):
        own = i[x.ndim - len(shape) :]
        y[tuple(0 if n == 1 else k for n, k in zip(shape, own))] += x[i]
    return y


REFERENCES = {
    "add": each(lambda x, y: math.fsum((x, y))),
    "sub": each(lambda x, y: math.fsum((x, -y))),
    "mul": each(lambda x, y: float(Decimal(x) * Decimal(y))),
    "div": each(lambda x, y: float(Decimal(x) / Decimal(y))),
    "power": each(math.pow),
    "maximum": each(lambda x, y: sorted((x, y))[1]),
    "minimum": each(lambda x, y: sorted((x, y))[0]),
    "eq": each(operator.eq, bool),
    "ne": each(operator.ne, bool),
    "lt": each(operator.lt, bool),
    "le": each(operator.le, bool),
    "gt": each(operator.gt, bool),
    "ge": each(operator.ge, bool),
    "where": each(lambda condition, x, y: x if condition else y),
    "neg": each(lambda x: 0.0 - x),
    "exp": each(lambda x: math.e**x),
    "log": each(lambda x: math.log2(x) * math.log(2)),
    "sqrt": each(math.sqrt),
    "sin": each(math.sin),
    "cos": each(math.cos),
    "tanh": each(lambda x: math.expm1(2 * x) / (math.expm1(2 * x) + 2)),
    "sigmoid": each(lambda x: math.exp(-softplus(-x, threshold=800.0))),
    "relu": each(lambda x: x if x > 0 else 0.0),
    "gate": each(lambda g, y: g if y > 0 else 0.0),
    "leaky_relu": each(leaky_relu),
    "softplus": each(softplus),
    "erf": each(math.erf),
    "abs": each(lambda x: math.copysign(x, 1)),
    "sign": each(lambda x: (x > 0) - (x < 0)),
    "floor": each(math.floor),
    "clip": each(clip),
    "sum_to": sum_to,
    "broadcast_to": lambda x, shape: table(shape, lambda i: at(x, i)),
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "unfold": unfold,
    "fold": fold,
    "batch_norm": batch_norm,
    "batch_norm_input": batch_norm_input,
    "batch_norm_sums": batch_norm_sums,
    "channel_affine": channel_affine,
    "cross_entropy": cross_entropy,
    "cross_entropy_input": cross_entropy_input,
    "max_pool2d": lambda x, **o: max_pool2d_gather(x, x, **o),
    "max_pool2d_gather": max_pool2d_gather,
    "max_pool2d_scatter": max_pool2d_scatter,
    "avg_pool2d": avg_pool2d,
    "avg_pool2d_spread": avg_pool2d_spread,
    "matrix_multiply": matrix_multiply,
    "linear": linear,
    "contract": contract,
    "sum": reduce(math.fsum),
    "amax": reduce(max),
    "amin": reduce(min),
    "argmax": reduce(lambda values: values.index(max(values)), np.int64),
    "argmin": reduce(lambda values: values.index(min(values)), np.int64),
    "logsumexp": reduce(logsumexp),
    "cumsum": along(lambda line: list(itertools.accumulate(line))),
    "softmax": along(lambda line: [math.exp(v) for v in log_softmax(line)]),
    "log_softmax": along(log_softmax),
    "reshape": reshape,
    "permute": permute,
    "flip": flip,
    "concatenate": concatenate,
    "constant_pad": constant_pad,
    "getitem": getitem,
    "putitem": putitem,
    "gather_along": lambda x, index, dim: table(
        index.shape, lambda i: x[moved(i, dim, index[i])]),
    "scatter_add_along": scatter_add_along,
    "shift": shift,
    "fwht": fwht,
    "fastfood": fastfood,
    "fastfood_input": fastfood_input,
    "fastfood_s": fastfood_s,
    "fastfood_g": fastfood_g,
    "fastfood_b": fastfood_b,
    "to_sequency": to_sequency,
    "from_sequency": from_sequency,
    "cast": cast,
    "transfer": lambda x, device: table(x.shape, lambda i: x[i]),
}
