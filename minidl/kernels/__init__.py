"""Hot loops: array in, array out, no Tensor. One file per operation."""

from .conv import conv2d, conv2d_input, conv2d_weight
from .erf import erf
from .pool import max_pool2d_gather, max_pool2d_scatter
from .windows import fold, unfold

__all__ = [
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "erf",
    "fold",
    "max_pool2d_gather",
    "max_pool2d_scatter",
    "unfold",
]
