"""The networks whose training steps are timed, ours and torch's side by side.

Their parameters come in the same order, so that both can start from the same numbers.
`mlp` and `lenet` of ours are those of `minidl.models`; the others take 28x28 images
through a 3x3 stem of 32 channels and three blocks of 64, 128 and 128, with pooling
after the first two, a global average and a linear layer.
"""

from collections.abc import Callable

import numpy as np

from .. import functional as F
from .. import models, nn, optim
from ..errors import unknown_name
from ..tensor import Tensor
from . import peers
from .setting import Setting
from .shift import displacements

NAMES = ("mlp", "lenet", "separable", "shift")
BATCH = 64
CHANNELS = (32, 64, 128, 128)


class Shift(nn.Module):
    """Channels moved by the offsets of a 3x3 square in turn."""

    def __init__(self, channels: int):
        super().__init__()
        self.dy, self.dx = displacements(channels, 3)

    def forward(self, x):
        return F.shift(x, dy=self.dy, dx=self.dx)


# How both libraries write the blocks; ``n`` is minidl.nn or torch.nn.


def _convolution(n, channels, out, kernel, **options):
    padding = kernel // 2
    return [
        n.Conv2d(channels, out, kernel, padding=padding, bias=False, **options),
        n.BatchNorm2d(out),
        n.ReLU(),
    ]


def _separable(n, channels, out, shift):
    return [
        *_convolution(n, channels, channels, 3, groups=channels),
        *_convolution(n, channels, out, 1),
    ]


def _shift(n, channels, out, shift):
    return [
        *_convolution(n, channels, out, 1),
        shift(out),
        *_convolution(n, out, out, 1),
    ]


def _blocks(n, block, average, shift=None):
    layers = _convolution(n, 1, CHANNELS[0], 3)
    for i, (channels, out) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        layers += block(n, channels, out, shift)
        if i < 2:
            layers.append(n.MaxPool2d(2))
    return n.Sequential(*layers, *average, n.Linear(CHANNELS[-1], 10))


def our_net(name: str) -> nn.Module:
    """A network of ours, freshly initialised."""
    if name not in NAMES:
        raise unknown_name("network", name, NAMES)
    if name in models.MODELS:
        return models.create(name)
    block = _separable if name == "separable" else _shift
    return _blocks(nn, block, [nn.GlobalAvgPool2d()], Shift)


def torch_net(name: str, shift: str = "depthwise", device: str = "cpu"):
    """The same in torch; ``shift`` is how shift is written, see `peers.SHIFTS`."""
    from torch import nn

    class TorchShift(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.move = peers.SHIFTS[shift](*displacements(channels, 3), device)

        def forward(self, x):
            return self.move(x)

    if name == "mlp":
        layers = nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
        return nn.Sequential(*layers).to(device)
    if name == "lenet":
        net = nn.Sequential(
            nn.Conv2d(1, 20, 5),
            nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(800, 500),
            nn.ReLU(),
            nn.Linear(500, 10),
        )
        return net.to(device)
    block = _separable if name == "separable" else _shift
    average = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return _blocks(nn, block, average, TorchShift).to(device)


def batch(size: int = BATCH):
    """Random images (size, 1, 28, 28), float32, and their labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, 1, 28, 28)).astype(np.float32)
    return x, rng.integers(0, 10, size)


def _step(net, optimizer, x, y, cross_entropy):
    def step():
        loss = cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def our_step(name: str, size: int = BATCH, device: str = "cpu", net=None) -> Callable:
    """A function that does one training step and returns the loss before it."""
    net = (net or our_net(name)).to(device)
    optimizer = optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    x, y = (Tensor(a).to(device) for a in batch(size))
    return _step(net, optimizer, x, y, F.cross_entropy)


def torch_step(
    name: str,
    size: int = BATCH,
    device: str = "cpu",
    shift: str = "depthwise",
    net=None,
) -> Callable:
    """The same step of the same network in torch."""
    import torch

    net = net or torch_net(name, shift, device)
    optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    x, y = (torch.from_numpy(a).to(device) for a in batch(size))
    return _step(net, optimizer, x, y, torch.nn.functional.cross_entropy)


def fastest_shift(setting: Setting) -> str:
    """Which way of writing shift makes torch's step of the shift net faster."""
    steps = {
        way: torch_step("shift", BATCH, setting.device, way) for way in peers.SHIFTS
    }
    best = peers.faster(list(steps.values()), setting.sync)
    return next(way for way, step in steps.items() if step is best)
