"""Convolution and its two gradients; unfold (im2col) and fold (col2im).

The three convolution ops are each other's derivatives: convolution is linear in the
input and in the weights, so whatever is differentiated stays within the family.
"""

from .. import kernels
from ..autograd import primitive
from ..errors import ArgumentError, ShapeError
from ..kernels.windows import output_size
from ..samples import E, S
from ._geometry import fits, floats, image, padding_pairs, pair


def _geometry(where, kernel, stride, padding, dilation):
    """stride, padding and dilation as kernels take them."""
    stride = pair(where, "stride", stride, 1)
    dilation = pair(where, "dilation", dilation, 1)
    return stride, padding_pairs(where, padding, kernel, stride, dilation), dilation


def _check(where, channels, weight, groups):
    floats(where, "weight", weight)
    if weight.ndim != 4:
        raise ShapeError(
            f"{where}: weight must be 4-D (out, in/groups, kh, kw); "
            f"got {tuple(weight.shape)}"
        )
    if not hasattr(groups, "__index__") or groups < 1 or weight.shape[0] % groups:
        raise ArgumentError(
            f"{where}: groups must divide {weight.shape[0]} output "
            f"channels; got {groups}"
        )
    if 0 in weight.shape:
        raise ShapeError(
            f"{where}: weight must have at least 1 entry on each axis; "
            f"got {tuple(weight.shape)}"
        )
    if channels != weight.shape[1] * groups:
        raise ShapeError(
            f"{where}: input must have {weight.shape[1]} channels in each of "
            f"{groups} groups; got {channels}"
        )


def _positions(where, g, outputs, *geometry):
    image(where, "gradient", g)
    out = output_size(*geometry)
    if g.shape[1:] != (outputs, *out):
        raise ShapeError(
            f"{where}: gradient must be (N, {outputs}, {out[0]}, {out[1]}); "
            f"got {tuple(g.shape)}"
        )


_options = [
    dict(),
    dict(padding=1),
    dict(stride=2, padding=(1, 2)),
    dict(dilation=2, padding=2),
    dict(stride=(1, 3), padding=((0, 1), (2, 0)), dilation=(2, 1)),
]


@primitive(
    samples=lambda r: (
        [S(r(2, 3, 6, 7), r(4, 3, 3, 2), r(4), **o) for o in _options]
        + [
            S(r(2, 4, 5, 5), r(6, 2, 3, 3), groups=2, padding="same"),
            S(r(1, 3, 5, 4), r(6, 1, 1, 3), r(6), groups=3, padding=((0, 0), (1, 1))),
            S(r(3, 2, 1, 1), r(5, 2, 1, 1)),
            S(r(0, 2, 4, 4), r(3, 2, 3, 3), r(3)),
        ]
    ),
    errors=lambda r: [
        E(ShapeError, "input must be 4-D", r(3, 6, 6), r(4, 3, 3, 3)),
        E(ShapeError, "weight must be 4-D", r(1, 3, 6, 6), r(4, 3, 3)),
        E(
            ShapeError,
            "must have 2 channels in each of 1",
            r(1, 3, 6, 6),
            r(4, 2, 3, 3),
        ),
        E(ShapeError, "bias must be (4,)", r(1, 3, 6, 6), r(4, 3, 3, 3), r(3)),
        E(ShapeError, "must fit into", r(1, 3, 6, 6), r(4, 3, 7, 3)),
        E(ArgumentError, "groups must divide", r(1, 4, 6, 6), r(3, 2, 3, 3), groups=2),
        E(ArgumentError, "padding must be", r(1, 3, 6, 6), r(4, 3, 3, 3), padding=-1),
        E(ArgumentError, "stride must be", r(1, 3, 6, 6), r(4, 3, 3, 3), stride=0),
        E(
            ArgumentError,
            "needs stride 1",
            r(1, 3, 6, 6),
            r(4, 3, 3, 3),
            padding="same",
            stride=2,
        ),
    ],
)
def conv2d(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    """2-D cross-correlation with ``groups``, plus a bias for each output channel.

    ``y[n,o,p,q] = bias[o] + sum_cij weight[o,c,i,j] x[n, c, p s + i d - pad, ...]``

    Shapes: x (N, C, H, W); weight (O, C / groups, kh, kw); bias (O,) or None;
    y (N, O, oh, ow) with ``oh = (H + pads - d (kh - 1) - 1) // s + 1``.
    Args: stride, dilation: >= 1, an int or (vertical, horizontal); padding: zeros, an
    int, a pair, ``((top, bottom), (left, right))``, ``"same"`` or ``"valid"``.
    Raises: ShapeError, ArgumentError.
    """
    image("conv2d", "input", x)
    _check("conv2d", x.shape[1], weight, groups)
    kernel = weight.shape[2:]
    stride, padding, dilation = _geometry("conv2d", kernel, stride, padding, dilation)
    fits(
        "conv2d",
        x.shape[2:],
        kernel,
        output_size(x.shape[2:], kernel, stride, padding, dilation),
    )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"conv2d: bias must be {weight.shape[:1]}; got {bias.shape}")
    return kernels.conv2d(x, weight, stride, padding, dilation, groups, bias)


@primitive(
    samples=lambda r: [
        S(r(2, 4, 4, 6), r(4, 3, 3, 2), size=(6, 7)),
        S(r(2, 4, 3, 4), r(4, 3, 3, 3), size=(6, 7), stride=2, padding=1),
        S(r(1, 6, 3, 3), r(6, 2, 3, 3), size=(5, 5), groups=2),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "(N, 2, 4, 4)", r(1, 2, 4, 3), r(2, 1, 2, 2), size=(5, 5)),
        E(ShapeError, "(N, 2, 4, 4)", r(1, 3, 4, 4), r(2, 1, 2, 2), size=(5, 5)),
        E(ShapeError, "gradient must be 4-D", r(2, 4, 4), r(2, 1, 2, 2), size=(5, 5)),
    ],
)
def conv2d_input(g, weight, *, size, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` by its input of spatial ``size``: g (N, O, oh, ow)."""
    _check("conv2d_input", weight.shape[1] * groups, weight, groups)
    kernel, where = weight.shape[2:], "conv2d_input"
    stride, padding, dilation = _geometry(where, kernel, stride, padding, dilation)
    _positions(where, g, len(weight), size, kernel, stride, padding, dilation)
    return kernels.conv2d_input(
        g, weight, tuple(map(int, size)), stride, padding, dilation, groups
    )


@primitive(
    samples=lambda r: [
        S(r(2, 3, 6, 7), r(2, 4, 4, 6), kernel=(3, 2)),
        S(r(2, 3, 6, 7), r(2, 4, 3, 4), kernel=(3, 3), stride=2, padding=1),
        S(r(1, 4, 5, 5), r(1, 6, 3, 3), kernel=(3, 3), groups=2),
    ],
    linear=True,
    errors=lambda r: [
        E(
            ShapeError,
            "must be (N, 2, 4, 4)",
            r(1, 2, 5, 5),
            r(1, 2, 4, 3),
            kernel=(2, 2),
        ),
        E(
            ShapeError,
            "must be 2, as in input",
            r(2, 2, 5, 5),
            r(1, 2, 4, 4),
            kernel=(2, 2),
        ),
    ],
)
def conv2d_weight(x, g, *, kernel, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of `conv2d` by its weights of size ``kernel``: g (N, O, oh, ow)."""
    stride, padding, dilation = _geometry(
        "conv2d_weight", kernel, stride, padding, dilation
    )
    image("conv2d_weight", "input", x)
    outputs = g.shape[1] if g.ndim == 4 else 0
    _positions(
        "conv2d_weight", g, outputs, x.shape[2:], kernel, stride, padding, dilation
    )
    if len(g) != len(x):
        raise ShapeError(
            f"conv2d_weight: images of gradient must be {len(x)}, as in input; "
            f"got {len(g)}"
        )
    if x.shape[1] % groups or outputs % groups:
        raise ArgumentError(
            f"conv2d_weight: groups must divide {x.shape[1]} and {outputs} channels; "
            f"got {groups}"
        )
    kernel = tuple(map(int, kernel))
    return kernels.conv2d_weight(x, g, kernel, stride, padding, dilation, groups)


conv2d.defvjp(
    lambda g, _y, _x, w, _b, **o: conv2d_input(g, w, size=_x.shape[2:], **o),
    lambda g, _y, x, _w, _b, **o: conv2d_weight(x, g, kernel=_w.shape[2:], **o),
    lambda g, _y, _x, _w, _b, **o: g.sum(dim=(0, 2, 3)),
)
conv2d_input.defvjp(
    lambda h, _y, _g, w, *, size, **o: conv2d(h, w, None, **o),
    lambda h, _y, g, _w, *, size, **o: conv2d_weight(h, g, kernel=_w.shape[2:], **o),
)
conv2d_weight.defvjp(
    lambda v, _y, _x, g, *, kernel, **o: conv2d_input(g, v, size=_x.shape[2:], **o),
    lambda v, _y, x, _g, *, kernel, **o: conv2d(x, v, None, **o),
)


def _columns(where, size, kernel, dilation, padding, stride):
    kernel = pair(where, "kernel_size", kernel, 1)
    stride, padding, dilation = _geometry(where, kernel, stride, padding, dilation)
    out = output_size(size, kernel, stride, padding, dilation)
    fits(where, size, kernel, out)
    return kernel, stride, padding, dilation, out


@primitive(
    samples=lambda r: [
        S(r(2, 3, 5, 6), kernel_size=(2, 3)),
        S(r(2, 3, 5, 6), kernel_size=3, stride=2, padding=1),
        S(
            r(1, 2, 7, 5),
            kernel_size=(3, 2),
            dilation=(2, 1),
            padding=(0, 2),
            stride=(1, 3),
        ),
        S(r(0, 2, 4, 4), kernel_size=2),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "input must be 4-D", r(3, 4), kernel_size=2),
        E(ShapeError, "must fit into", r(1, 1, 2, 2), kernel_size=3),
        E(ArgumentError, "padding must be", r(1, 1, 2, 2), kernel_size=1, padding=-1),
    ],
)
def unfold(x, *, kernel_size, dilation=1, padding=0, stride=1):
    """im2col: x (N, C, H, W) to the columns (N, C kh kw, oh ow) of its windows."""
    image("unfold", "input", x)
    kernel, stride, padding, dilation, out = _columns(
        "unfold", x.shape[2:], kernel_size, dilation, padding, stride
    )
    cols = kernels.unfold(x, kernel, stride, padding, dilation)
    rows = x.shape[1] * kernel[0] * kernel[1]
    return cols.reshape(rows, len(x), out[0] * out[1]).transpose(1, 0, 2)


@primitive(
    samples=lambda r: [
        S(r(2, 18, 16), output_size=(5, 6), kernel_size=(2, 3)),
        S(r(2, 27, 9), output_size=(5, 6), kernel_size=3, stride=2, padding=1),
    ],
    linear=True,
    errors=lambda r: [
        E(ShapeError, "(N, C 4, 9)", r(1, 6, 9), output_size=4, kernel_size=2),
    ],
)
def fold(cols, *, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """col2im: columns (N, C kh kw, oh ow) summed into images; adjoint of `unfold`."""
    floats("fold", "input", cols)
    size = pair("fold", "output_size", output_size, 0)  # 0: padding may hold windows
    kernel, stride, padding, dilation, out = _columns(
        "fold", size, kernel_size, dilation, padding, stride
    )
    area, positions = kernel[0] * kernel[1], out[0] * out[1]
    if cols.ndim != 3 or cols.shape[1] % area or cols.shape[2] != positions:
        raise ShapeError(
            f"fold: input must be (N, C {area}, {positions}); got {tuple(cols.shape)}"
        )
    channels = cols.shape[1] // area
    cols = cols.transpose(1, 0, 2).reshape(channels, *kernel, len(cols), *out)
    return kernels.fold(cols, size, kernel, stride, padding, dilation)


unfold.defvjp(lambda g, _y, _x, **o: fold(g, output_size=_x.shape[2:], **o))
fold.defvjp(lambda g, _y, _c, *, output_size, **o: unfold(g, **o))
