"""Optimisers, learning-rate schedules, gradient clipping and averaged weights."""

from .clip import clip_grad_norm_, clip_grad_value_
from .ema import EMA
from .optimizer import Optimizer
from .rules import SGD, Adam, AdamW, RMSprop
from .schedule import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    Schedule,
    SequentialLR,
    StepLR,
)

__all__ = [
    "EMA",
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearLR",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]
