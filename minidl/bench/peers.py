"""What a torch user writes where torch has no function: shift, Walsh-Hadamard."""

from collections.abc import Callable

import numpy as np

from . import measure


def shift_by_convolution(dy, dx, device: str = "cpu") -> Callable:
    """Shift as a depthwise convolution whose kernels hold a single one."""
    import torch

    reach = max(map(abs, [*dy, *dx]))
    w = torch.zeros(len(dy), 1, 2 * reach + 1, 2 * reach + 1)
    for c, (a, b) in enumerate(zip(dy, dx)):
        w[c, 0, reach - a, reach - b] = 1
    w, conv2d = w.to(device), torch.nn.functional.conv2d
    return lambda x: conv2d(x, w.to(x.dtype), padding=reach, groups=len(dy))


def shift_by_slices(dy, dx, device: str = "cpu") -> Callable:
    """Shift by padding, then one slice for all channels that move alike."""
    import torch

    reach = max(map(abs, [*dy, *dx]))
    alike = {}
    for c, move in enumerate(zip(dy, dx)):
        alike.setdefault(move, []).append(c)
    # Channels at equal steps are a slice, which is quicker than an index.
    steps = {}
    for m, c in alike.items():
        step = c[1] - c[0] if len(c) > 1 else 1
        if c == list(range(c[0], c[-1] + 1, step)):
            steps[m] = slice(c[0], c[-1] + 1, step)

    def move(x):
        height, width = x.shape[2:]
        padded = torch.nn.functional.pad(x, (reach,) * 4)
        y = torch.empty_like(x)
        for (a, b), channels in alike.items():
            c = steps.get((a, b), channels)
            top, left = reach - a, reach - b
            y[:, c] = padded[:, c, top : top + height, left : left + width]
        return y

    return move


SHIFTS = {"depthwise": shift_by_convolution, "slices": shift_by_slices}


def faster(ways: list[Callable], sync: Callable = measure.nothing) -> Callable:
    """The one that takes less time, tried a few times in turn."""
    first, *rest = ways
    a, found = measure.turns(first, dict(enumerate(rest)), measure.FEW, sync)
    times = [min(a), *(min(found[i]) for i in range(len(rest)))]
    return ways[times.index(min(times))]


def fwht(x):
    """The Walsh-Hadamard transform of the last axis: a butterfly a level."""
    import torch

    shape, n, h = x.shape, x.shape[-1], 1
    while h < n:
        x = x.reshape(-1, n // (2 * h), 2, h)
        a, b = x[:, :, 0], x[:, :, 1]
        x = torch.stack((a + b, a - b), 2)
        h *= 2
    return x.reshape(shape)


def hadamard(n: int) -> np.ndarray:
    """The n x n matrix H, float32, by Sylvester's doubling."""
    h = np.ones((1, 1), np.float32)
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h
