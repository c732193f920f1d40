"""Which input channels an output channel depends on, along a run of convolutions.

A convolution is a matrix (outputs, inputs): one where the output channel reads the
input channel, else zero. A run of convolutions is the product of their matrices. Its
entry (o, i) counts the paths that lead from input channel i to output channel o.
"""

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arguments import divides, whole
from .activation import ReLU, ReLU6
from .conv import Conv2d
from .norm import BatchNorm2d
from .pool import ChannelShuffle


def interlace(channels: int, groups: int) -> np.ndarray:
    """``inter(C, g)``: output channel p of `ChannelShuffle(g)` is input ``inter[p]``.

    ``inter(6, 2) = [0, 3, 1, 4, 2, 5]``; its inverse is ``inter(C, C / g)``.
    Raises: ArgumentError unless groups divides channels.
    """
    whole("interlace", "channels", channels)
    divides("interlace", groups, channels=channels)
    return np.arange(channels).reshape(groups, -1).T.ravel()


def grouped(channels: int, out: int, groups: int) -> np.ndarray:
    """The matrix of a grouped convolution: blocks of ones along the diagonal.

    Shapes: result (out, channels), bool.
    Raises: ArgumentError unless groups divides both.
    """
    whole("grouped", "channels", channels)
    whole("grouped", "out", out)
    divides("grouped", groups, channels=channels, out=out)
    of_input = np.arange(channels) // (channels // groups)
    of_output = np.arange(out) // (out // groups)
    return of_output[:, None] == of_input


def _parts(where, layers, others):
    """Pairs (convolution, where its outputs go): shuffles belong to the one before."""
    found = []
    for layer in layers:
        if isinstance(layer, Conv2d):
            found.append((layer, np.arange(layer.out_channels)))
        elif isinstance(layer, ChannelShuffle) and found:
            conv, order = found[-1]
            found[-1] = conv, order[interlace(len(order), layer.groups)]
        elif not isinstance(layer, others):
            raise ArgumentError(
                f"{where}: layers must be convolutions, each before its channel "
                f"shuffles; got {type(layer).__name__} after {len(found)} convolutions"
            )
    if not found:
        raise ArgumentError(f"{where}: layers must hold a convolution; got none")
    return found


def dependencies(layers) -> list[np.ndarray]:
    """One matrix for each convolution in ``layers``, in the order of the calls.

    A channel shuffle reorders the rows of the convolution before it. Batch norms and
    activations keep to their channel and change nothing.

    Args: layers, an iterable of Modules, such as a Sequential.
    Shapes: each result (outputs, inputs), bool.
    Raises: ArgumentError for a layer of another kind.
    """
    return [
        grouped(conv.in_channels, conv.out_channels, conv.groups)[order]
        for conv, order in _parts("dependencies", layers, (BatchNorm2d, ReLU, ReLU6))
    ]


def path_counts(*matrices) -> np.ndarray:
    """The number of paths from every input channel to every output channel.

    ``matrices`` stand in the order of the calls; the result is their product, the last
    one on the left.

    Shapes: matrices (C1, C0), (C2, C1), ...; result (last, C0), int64.
    Raises: ShapeError if two neighbours do not fit.
    """
    if not matrices:
        raise ArgumentError("path_counts: matrices must be one or more; got none")
    for i, matrix in enumerate(map(np.asarray, matrices)):
        before = len(matrices[i - 1]) if i else "any number of"
        if matrix.ndim != 2 or i and matrix.shape[1] != before:
            raise ShapeError(
                f"path_counts: matrix {i} must have two axes and {before} columns; "
                f"got shape {matrix.shape}"
            )
    # Floats, because BLAS multiplies these; whole numbers below 2^53 stay exact.
    first, *others = (np.asarray(matrix, np.float64) for matrix in matrices)
    for matrix in others:
        first = matrix @ first
    return first.astype(np.int64)


def composed_kernel(layers) -> np.ndarray:
    """The one dense kernel that does what ``layers`` do one after another.

    It is used with the stride and the padding of the one layer that has any.

    Args: layers, convolutions without bias and channel shuffles. At most one of them
    may be other than 1x1 with stride 1: the product of two such is larger than both.
    Shapes: result (out_channels of the last, in_channels of the first, kh, kw).
    Raises: ArgumentError for other layers.
    """
    kernel, spatial = None, 0
    for conv, order in _parts("composed_kernel", layers, ()):
        if conv.bias is not None:
            raise ArgumentError("composed_kernel: layers must have no bias; got one")
        point = conv.kernel_size == conv.stride == (1, 1) and conv.padding == (0, 0)
        spatial += not point
        if spatial > 1:
            raise ArgumentError(
                "composed_kernel: at most one layer may be other than 1x1 with stride "
                f"1; got {spatial}"
            )
        dense = _dense(conv)[order]
        if kernel is None:
            kernel = dense
        elif point:
            kernel = np.einsum("om,mihw->oihw", dense[:, :, 0, 0], kernel)
        else:
            kernel = np.einsum("omhw,mi->oihw", dense, kernel[:, :, 0, 0])
    return kernel


def _dense(conv):
    """The weight of a grouped convolution with the zeros that it leaves out."""
    weight = conv.weight.detach().numpy()
    size = weight.shape[2:]
    dense = np.zeros((conv.out_channels, conv.in_channels, *size), weight.dtype)
    where = grouped(conv.in_channels, conv.out_channels, conv.groups)
    dense[where] = weight.reshape(-1, *size)
    return dense
