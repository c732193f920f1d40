"""Modules: parameters, initialisers and the layers that models share."""

from . import init
from .activation import (
    GELU,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from .container import ModuleList, Sequential
from .conv import Conv2d, ConvTranspose2d
from .linear import Embedding, Linear
from .module import Module
from .norm import BatchNorm2d, Dropout, LayerNorm
from .pool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    Upsample,
)
from .state import Parameter
from .summary import Summary, summary

__all__ = [
    "GELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "Upsample",
    "init",
    "summary",
]
