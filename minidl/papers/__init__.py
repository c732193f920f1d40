"""One file per technique: citation, equations, the layer, its model, its cost."""

from . import (
    active_shift,
    channel_local_conv,
    inception,
    interleaved_group_conv,
    mobilenet,
    shift,
    shift_analysis,
    squeeze_excitation,
    xception,
)

__all__ = [
    "active_shift",
    "channel_local_conv",
    "inception",
    "interleaved_group_conv",
    "mobilenet",
    "shift",
    "shift_analysis",
    "squeeze_excitation",
    "xception",
]
