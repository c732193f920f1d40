"""One file per technique: citation, equations, the layer, its model, its cost."""

from . import (
    active_shift,
    channel_local_conv,
    conditional_conv,
    dynamic_conv,
    fastfood,
    inception,
    interleaved_group_conv,
    lenet,
    mobilenet,
    random_features,
    random_projection,
    shift,
    shift_analysis,
    squeeze_excitation,
    svd_compression,
    xception,
)

__all__ = [
    "active_shift",
    "channel_local_conv",
    "conditional_conv",
    "dynamic_conv",
    "fastfood",
    "inception",
    "interleaved_group_conv",
    "lenet",
    "mobilenet",
    "random_features",
    "random_projection",
    "shift",
    "shift_analysis",
    "squeeze_excitation",
    "svd_compression",
    "xception",
]
