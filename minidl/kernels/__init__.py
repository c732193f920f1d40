"""Hot loops: array in, array out, no Tensor. One file per operation."""

from ._memory import release
from .conv import conv2d, conv2d_input, conv2d_weight
from .erf import erf
from .fastfood import fastfood, fastfood_gradients, fastfood_input
from .fwht import fwht
from .fwht_in_place import fwht_
from .norm import (
    channel_affine,
    channel_blend,
    channel_moments,
    channel_products,
    channel_sum,
    plane_sum,
)
from .pool import max_pool2d_gather, max_pool2d_scatter
from .relu import gate, relu
from .sequency import sequency_order
from .shift import shift
from .softmax import cross_entropy, cross_entropy_input
from .windows import fold, unfold

__all__ = [
    "channel_affine",
    "channel_blend",
    "channel_moments",
    "channel_products",
    "channel_sum",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "cross_entropy",
    "cross_entropy_input",
    "erf",
    "fastfood",
    "fastfood_gradients",
    "fastfood_input",
    "fold",
    "fwht",
    "fwht_",
    "gate",
    "max_pool2d_gather",
    "max_pool2d_scatter",
    "plane_sum",
    "release",
    "relu",
    "sequency_order",
    "shift",
    "unfold",
]
