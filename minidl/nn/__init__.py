"""Modules: parameters, initialisers and the layers that models share."""

from . import init
from .activation import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from .blocks import conv_bn, scaled
from .container import Concat, ModuleList, Residual, Sequential
from .conv import Conv2d, ConvTranspose2d
from .dispatch import dispatch
from .linear import Embedding, Linear
from .module import Module
from .norm import BatchNorm2d, Dropout, LayerNorm
from .pool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    ChannelShuffle,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    Upsample,
)
from .recurrent import LSTMCell
from .state import Parameter
from .summary import Count, Summary, count, summary

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "ChannelShuffle",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Count",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "Identity",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "Upsample",
    "conv_bn",
    "count",
    "dispatch",
    "init",
    "scaled",
    "summary",
]
