"""Hot loops: array in, array out, no Tensor. One file per operation."""

from .conv import conv2d, conv2d_input, conv2d_weight
from .erf import erf
from .fwht import fwht
from .pool import max_pool2d_gather, max_pool2d_scatter
from .shift import shift
from .windows import fold, unfold

__all__ = [
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "erf",
    "fold",
    "fwht",
    "max_pool2d_gather",
    "max_pool2d_scatter",
    "shift",
    "unfold",
]
