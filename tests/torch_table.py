"""Torch's counterpart of every primitive and composition, with the same arguments."""

import operator
import warnings

import numpy as np
import torch
import torch.nn.functional as TF

DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}


def make(array, requires_grad):
    """A torch tensor with memory of its own."""
    return torch.from_numpy(array.copy()).requires_grad_(requires_grad)


def foreign(a):
    return make(a, False) if isinstance(a, np.ndarray) else a


def both(function):
    """``function(x, y)`` of tensors, where a number may stand for one of them."""

    def paired(x, y):
        like = x if isinstance(x, torch.Tensor) else y
        return function(*(torch.as_tensor(a, dtype=like.dtype) for a in (x, y)))

    return paired


def vjp(function):
    """Torch's own gradient of ``function(x)``, for an x of ``shape``, as a function."""

    def pulled(g, shape):
        x = torch.zeros(tuple(shape), dtype=g.dtype, requires_grad=True)
        return torch.autograd.grad(function(x), x, g, create_graph=True)[0]

    return pulled


def dims(x, dim):
    return tuple(range(x.ndim)) if dim is None else dim


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        (top, bottom), (left, right) = padding
        x, padding = TF.pad(x, (left, right, top, bottom)), 0
    return TF.conv2d(x, weight, bias, stride, padding, dilation, groups)


def conv2d_input(g, weight, size, groups=1, **options):
    shape = (len(g), weight.shape[1] * groups, *size)
    return vjp(lambda x: conv2d(x, weight, groups=groups, **options))(g, shape)


def conv2d_weight(x, g, kernel, groups=1, **options):
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    return vjp(lambda w: conv2d(x, w, groups=groups, **options))(g, shape)


def constant_pad(x, pads, value=0.0):
    return TF.pad(x, [n for pair in pads[::-1] for n in pair], value=value)


def take(x, index):
    """``x[index]``; torch knows no negative steps, so those become index arrays."""
    index = list(index) if isinstance(index, tuple) else [index]
    for axis, i in enumerate(index):
        if isinstance(i, slice) and (i.step or 1) < 0:
            i = np.arange(x.shape[axis])[i]
        index[axis] = foreign(i)
    return x[tuple(index)]


def winners(x, options):
    """Flat index of each window's maximum, as torch reports it."""
    return TF.max_pool2d(x, **options, return_indices=True)[1].flatten(2)


def max_pool2d_gather(h, x, **options):
    at = winners(x, options)
    shape = TF.max_pool2d(x, **options).shape
    return h.flatten(2).gather(2, at).reshape(shape)


def max_pool2d_scatter(g, x, **options):
    return vjp(lambda h: max_pool2d_gather(h, x, **options))(g, x.shape)


def avg_pool2d_spread(g, size, **options):
    shape = (*g.shape[:2], *size)
    return vjp(lambda x: TF.avg_pool2d(x, **options))(g, shape)


def shift(x, dy, dx):
    """Negative padding crops, positive padding lets zeros enter."""
    channels, height, width = x.shape[1:]
    dy, dx = (np.broadcast_to(d, channels).tolist() for d in (dy, dx))
    planes = []
    for c, (a, b) in enumerate(zip(dy, dx)):
        if abs(a) >= height or abs(b) >= width:
            planes.append(x[:, c] * 0)
        else:
            planes.append(TF.pad(x[:, c], (b, -b, a, -a)))
    return torch.stack(planes, 1) if planes else x * 1


def fwht(x):
    """The product with Sylvester's matrix."""
    h = torch.ones(1, 1, dtype=x.dtype)
    while len(h) < x.shape[-1]:
        h = torch.kron(torch.tensor([[1, 1], [1, -1]], dtype=x.dtype), h)
    return x @ h


def fastfood(x, s, g, b, p):
    """Matrix by matrix, as it stands in the paper, on rows filled up with zeros."""
    m, d = p.shape
    x = torch.cat([x, x.new_zeros(*x.shape[:-1], d - x.shape[-1])], -1)
    blocks = []
    for k in range(m):
        permutation = torch.eye(d, dtype=x.dtype)[p[k]]
        u = fwht(x @ torch.diag(b[k])) @ permutation.T
        blocks.append(fwht(u @ torch.diag(g[k])) @ torch.diag(s[k]))
    return torch.cat(blocks, -1)


def fastfood_by(which):
    """The derivative of <e, fastfood(...)> by what is left out, from torch."""

    def derivative(*arrays, width=None):
        *arrays, p = arrays
        given = dict(zip("xesgb".replace(which, ""), arrays))
        shape = (*given["e"].shape[:-1], width) if which == "x" else p.shape
        given[which] = torch.zeros(shape, dtype=arrays[0].dtype, requires_grad=True)
        e = given.pop("e")
        y = fastfood(given["x"], given["s"], given["g"], given["b"], p)
        (found,) = torch.autograd.grad((y * e).sum(), given[which], create_graph=True)
        return found

    return derivative


def sequency(x):
    """The natural index of each sequency: Hadamard rows sorted by sign changes."""
    h = fwht(torch.eye(x.shape[-1]))
    return h.diff().ne(0).sum(-1).argsort()


def batch_norm(x, weight=None, bias=None, *, eps, relu=False):
    y = TF.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
    return TF.relu(y) if relu else y


def counted(g, x, weight, bias, eps, relu):
    y = batch_norm(x, weight, bias, eps=eps)
    return torch.where(y.detach() > 0, g, 0.0) if relu else g


def batch_norm_sums(g, x, weight=None, bias=None, *, eps, relu=False):
    over = (0, *range(2, x.ndim))
    g = counted(g, x, weight, bias, eps, relu)
    return torch.stack([g.sum(over), (g * batch_norm(x, eps=eps)).sum(over)])


def batch_norm_input(g, x, weight=None, bias=None, *, eps, relu=False):
    x = x if x.requires_grad else x.clone().requires_grad_()
    g = counted(g, x, weight, bias, eps, relu)
    y = batch_norm(x, weight, eps=eps)
    return torch.autograd.grad(y, x, g, create_graph=True)[0]


def channel_affine(x, scale, shift=None, center=None):
    over = (slice(None), *[None] * (x.ndim - 2))
    x = x if center is None else x - center[over]
    return x * scale[over] + (0 if shift is None else shift[over])


def cross_entropy(x, target, label_smoothing=0.0):
    return TF.cross_entropy(
        x, target, reduction="none", label_smoothing=label_smoothing
    )


def cross_entropy_input(g, x, target, label_smoothing=0.0):
    x = x if x.requires_grad else x.clone().requires_grad_()
    y = cross_entropy(x, target, label_smoothing)
    return torch.autograd.grad(y, x, g, create_graph=True)[0]


OPS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "power": operator.pow,
    "maximum": both(torch.maximum),
    "minimum": both(torch.minimum),
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "where": torch.where,
    "neg": torch.neg,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": TF.relu,
    "gate": lambda g, y: torch.where(y > 0, g, 0.0),
    "leaky_relu": TF.leaky_relu,
    "softplus": TF.softplus,
    "erf": torch.erf,
    "shift": shift,
    "fwht": fwht,
    "fastfood": fastfood,
    "fastfood_input": fastfood_by("x"),
    "fastfood_s": fastfood_by("s"),
    "fastfood_g": fastfood_by("g"),
    "fastfood_b": fastfood_by("b"),
    "to_sequency": lambda x: x[..., sequency(x)],
    "from_sequency": lambda x: x[..., sequency(x).argsort()],
    "abs": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
    "clip": torch.clip,
    "sum_to": lambda x, shape: x.sum_to_size(shape),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape),
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "unfold": TF.unfold,
    "fold": TF.fold,
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": torch.permute,
    "flip": lambda x, dims: torch.flip(x, dims if isinstance(dims, tuple) else (dims,)),
    "concatenate": lambda *xs, dim: torch.concatenate(xs, dim),
    "constant_pad": constant_pad,
    "getitem": take,
    "putitem": lambda g, index, shape: vjp(lambda x: take(x, index))(g, shape),
    "gather_along": lambda x, index, dim: torch.gather(x, dim, index),
    "scatter_add_along": lambda x, i, src, dim: torch.scatter_add(x, dim, i, src),
    "matrix_multiply": torch.matmul,
    "linear": TF.linear,
    "contract": lambda *xs, subscripts: torch.einsum(subscripts, *xs),
    "batch_norm": batch_norm,
    "batch_norm_input": batch_norm_input,
    "batch_norm_sums": batch_norm_sums,
    "channel_affine": channel_affine,
    "cross_entropy": cross_entropy,
    "cross_entropy_input": cross_entropy_input,
    "max_pool2d": TF.max_pool2d,
    "max_pool2d_scatter": max_pool2d_scatter,
    "max_pool2d_gather": max_pool2d_gather,
    "avg_pool2d": TF.avg_pool2d,
    "avg_pool2d_spread": avg_pool2d_spread,
    "sum": torch.sum,
    "amax": lambda x, dim=None, keepdim=False: torch.amax(x, dims(x, dim), keepdim),
    "amin": lambda x, dim=None, keepdim=False: torch.amin(x, dims(x, dim), keepdim),
    "argmax": torch.argmax,
    "argmin": torch.argmin,
    "cumsum": torch.cumsum,
    "logsumexp": lambda x, dim=None, keepdim=False: torch.logsumexp(
        x, dims(x, dim), keepdim),
    "softmax": TF.softmax,
    "log_softmax": TF.log_softmax,
    "cast": lambda x, dtype: x.to(DTYPES[dtype]),
}

NO_COUNTERPART = {
    "transfer": "on one device it is the identity; between devices it needs a GPU",
}


def affine_grid(theta, size, align_corners=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a single pixel
        return TF.affine_grid(theta, list(size), align_corners)


def dropout(x, p=0.5, training=True, mask=None):
    """The formula, with the mask that torch draws by itself."""
    if not training:
        return x
    if mask is None or p == 1:
        return TF.dropout(x, p)
    return torch.where(mask, x / (1 - p), 0.0 * x)


def expand(x, *sizes):
    return x.expand(*sizes)


def extreme(function):
    def call(x, dim=None, keepdim=False):
        return function(x) if dim is None else function(x, dim, keepdim)

    return call


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    corners = None if mode == "nearest" else align_corners
    return TF.interpolate(x, size, scale_factor, mode, corners)


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    return TF.grid_sample(x, grid, mode, padding_mode, align_corners)


def layer_norm(x, normalized_shape, *rest):
    whole = isinstance(normalized_shape, int)
    return TF.layer_norm(x, [normalized_shape] if whole else normalized_shape, *rest)


def pad(x, pad, mode="constant", value=None):
    """TF.pad; its other modes take only the last axes, so the rest are flattened."""
    if mode == "constant" or x.ndim == len(pad) // 2 + 2:
        return TF.pad(x, pad, mode, value)
    rest = x.shape[: x.ndim - len(pad) // 2]
    out = TF.pad(x.flatten(0, len(rest) - 1)[None], pad, mode)[0]
    return out.reshape(*rest, *out.shape[1:])


FUNCTIONS = {
    "adaptive_avg_pool2d": TF.adaptive_avg_pool2d,
    "affine_grid": affine_grid,
    "batch_norm": TF.batch_norm,
    "binary_cross_entropy_with_logits": TF.binary_cross_entropy_with_logits,
    "channel_shuffle": TF.channel_shuffle,
    "concatenate": torch.concatenate,
    "conv_transpose2d": TF.conv_transpose2d,
    "cross_entropy": TF.cross_entropy,
    "dropout": dropout,
    "einsum": torch.einsum,
    "elu": TF.elu,
    "embedding": TF.embedding,
    "expand": expand,
    "flatten": torch.flatten,
    "gather": torch.gather,
    "gelu": lambda x, approximate="none": TF.gelu(x, approximate=approximate),
    "grid_sample": grid_sample,
    "huber_loss": TF.huber_loss,
    "interpolate": interpolate,
    "l1_loss": TF.l1_loss,
    "layer_norm": layer_norm,
    "matmul": torch.matmul,
    "max": extreme(torch.max),
    "mean": torch.mean,
    "min": extreme(torch.min),
    "mse_loss": TF.mse_loss,
    "normalize": TF.normalize,
    "one_hot": TF.one_hot,
    "pad": pad,
    "relu6": TF.relu6,
    "scatter_add": torch.scatter_add,
    "split": torch.split,
    "squeeze": lambda x, dim=None: x.squeeze() if dim is None else x.squeeze(dim),
    "stack": torch.stack,
    "take_along_axis": torch.take_along_dim,
    "transpose": torch.transpose,
    "unsqueeze": torch.unsqueeze,
    "var": torch.var,
}

NO_FUNCTION: dict[str, str] = {}  # composition: why torch has none
