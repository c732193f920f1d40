"""The networks whose training steps are timed, ours and torch's side by side.

Most are those of `minidl.models`; torch's is the same, layer by layer (see `twin`).
"separable" and "shift" stand for the bare blocks: a 3x3 stem of 32 channels and three
blocks of 64, 128 and 128 on 28x28 images, with pooling after the first two, a global
average and a linear layer. "clcnet, straight" leaves the interlaces out, which shows
what they cost.
"""

from collections.abc import Callable

import numpy as np

from .. import functional as F
from .. import models, nn, optim
from ..errors import unknown_name
from ..papers.mobilenet import separable
from ..papers.shift import csc
from ..tensor import Tensor
from . import peers
from .setting import Setting
from .twin import twin

NAMES = (
    "mlp",
    "lenet",
    "separable",
    "shift",
    "shiftnet",
    "xception",
    "mobilenet",
    "clcnet",
    "clcnet, straight",
    "shiftresnet",
    "igcv1",
    "igcv2",
    "igcv3",
    "fastfood-1024",
    "adaptive-fastfood-1024",
)
SHIFTING = ("shift", "shiftnet", "shiftresnet")
BATCH = 64
CHANNELS = (32, 64, 128, 128)


def _straight(net):
    """A network without its channel shuffles."""
    for name, child in net.named_children():
        straight = isinstance(child, nn.ChannelShuffle)
        setattr(net, name, nn.Identity() if straight else _straight(child))
    return net


def our_net(name: str) -> nn.Module:
    """A network of ours, freshly initialised."""
    if name not in NAMES:
        raise unknown_name("network", name, NAMES)
    if name in models.MODELS:
        return models.create(name)
    if name == "clcnet, straight":
        return _straight(models.create("clcnet"))
    block = separable if name == "separable" else csc
    layers = nn.conv_bn(1, CHANNELS[0], 3)
    for i, (channels, out) in enumerate(zip(CHANNELS, CHANNELS[1:])):
        layers += block(channels, out)
        if i < 2:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(CHANNELS[-1], 10))


def torch_net(name: str, shift: str = "depthwise", device: str = "cpu"):
    """The same in torch; ``shift`` is how shift is written, see `peers.SHIFTS`."""
    return twin(our_net(name), shift, device).to(device)


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
