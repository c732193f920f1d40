"""``minidl bench conv``: the convolution family, each forward and with its gradients.

Rows with a bar first, then a grid of shapes as networks have them. The public API is
timed on both sides: `functional.conv2d` and `minidl.grad`, torch's function and
autograd.
"""

from collections.abc import Callable, Iterator

from .. import functional as F
from ..autograd import grad
from .measure import Row
from .setting import Setting
from .shapes import Shape

# What to reach against torch: forward, forward and backward.
MAPS = "64x64x32x32"
BARS = {
    "depthwise": (f"{MAPS},k=3,p=1,g=64", 8, 4),
    "g = 32": (f"{MAPS},k=3,p=1,g=32", 10, 5),
    "g = 16": (f"{MAPS},k=3,p=1,g=16", 7, 3),
    "g = 8": (f"{MAPS},k=3,p=1,g=8", 3, 2),
    "g = 4": (f"{MAPS},k=3,p=1,g=4", 2, 1.5),
    "g = 2": (f"{MAPS},k=3,p=1,g=2", 1, 1),
    "dense 3x3": (f"{MAPS},k=3,p=1", 1, 1),
    "dense 1x1": (MAPS, 1, 1),
    # 64 examples of 32 channels, each with its own 32 filters: they lie side by side.
    "per example": ("1x2048x16x16,k=3,p=1,g=64", 3, 3),
}
# No shape of the grid may fall below this.
LEAST = 0.7
GRID_ROUNDS = 5
GRID = """
    64x1x28x28,out=20,k=5
    64x20x12x12,out=50,k=5
    1x1x28x28,out=20,k=5
    1x3x224x224,out=64,k=7,s=2,p=3
    16x3x112x112,out=64,k=7,s=2,p=3
    64x3x32x32,out=32,k=3,p=1
    16x3x112x112,out=32,k=3,s=2,p=1
    1x64x56x56,k=3,p=1
    8x64x56x56,k=3,p=1
    8x64x56x56,out=128,k=3,s=2,p=1
    8x64x56x56,out=128,s=2
    1x128x28x28,k=3,p=1
    16x128x28x28,k=3,p=1
    1x256x14x14,k=3,p=1
    64x256x14x14,out=64
    64x128x14x14,k=3,p=1
    1x512x7x7,k=3,p=1
    64x512x7x7,out=128
    64x128x7x7,k=3,p=1
    1x512x7x7
    1x256x14x14,out=512,s=2
    64x32x28x28,k=5,p=2
    16x64x28x28,out=96,k=5,s=2,p=2
    16x64x28x28,k=3,p=2,d=2
    64x64x14x14,k=3,p=2,d=2,g=64
    1x64x64x64,k=3,p=4,d=4
    16x64x28x28,k=1x7,p=0x3
    16x64x28x28,k=7x1,p=3x0
    64x32x1x256,out=64,k=1x9,p=0x4
    16x32x28x28,k=2,s=2
    16x32x28x28,k=4,s=2,p=1
    16x32x28x28,k=2
    16x32x112x112,k=3,p=1,g=32
    16x64x112x112,k=3,s=2,p=1,g=64
    1x128x56x56,k=3,p=1,g=128
    64x512x14x14,k=3,p=1,g=512
    64x256x14x14,k=3,s=2,p=1,g=256
    1x512x7x7,k=3,p=1,g=512
    64x64x14x14,k=5,p=2,g=64
    16x128x28x28,k=3,s=2,p=1,g=32
""".split()
TITLE = "convolutions"
ABOUT = (
    f"3x3 over {MAPS} if not said otherwise; per example: 64 of 32x16x16, each with "
    "its own 32 filters"
)


def _data(setting: Setting, shape: Shape):
    return (
        setting.array(*shape.x),
        setting.array(*shape.w, seed=1),
        setting.array(*shape.y, seed=2),
    )


def ours(setting: Setting, shape: Shape, backward: bool) -> Callable:
    """A call of our convolution, with both gradients if ``backward``."""
    x, w, g = _data(setting, shape)
    x, w, g = setting.ours(x, backward), setting.ours(w, backward), setting.ours(g)
    if not backward:
        return lambda: F.conv2d(x, w, **shape.options)
    return lambda: grad(F.conv2d(x, w, **shape.options), [x, w], g)


def theirs(setting: Setting, shape: Shape, backward: bool) -> Callable:
    """The same call of torch's."""
    x, w, g = _data(setting, shape)
    x, w = setting.theirs(x, backward), setting.theirs(w, backward)
    conv2d, g = setting.torch.nn.functional.conv2d, setting.theirs(g)
    if not backward:
        return lambda: conv2d(x, w, **shape.options)
    back = setting.torch.autograd.grad
    return lambda: back(conv2d(x, w, **shape.options), [x, w], g)


def _row(setting, name, shape, backward, **about) -> Row:
    times = 3 if backward else 1  # a gradient costs what the forward pass costs
    return setting.pair(
        f"{name} {'fwd+bwd' if backward else 'fwd'}",
        ours(setting, shape, backward),
        lambda: theirs(setting, shape, backward),
        flop=times * shape.flop,
        bytes=times * shape.bytes,
        **about,
    )


def rows(setting: Setting, bars: bool = True, grid: bool = True) -> Iterator[Row]:
    """The rows with a bar, then the grid's, each as soon as it is measured."""
    for name, (text, *reach) in BARS.items() if bars else ():
        for backward in (False, True):
            bar = f">= {reach[backward]:g}x"
            yield _row(setting, name, Shape.parse(text), backward, reach=bar)
    few = min(setting.rounds, GRID_ROUNDS)
    for text in GRID if grid else ():
        for backward in (False, True):
            shape = Shape.parse(text)
            yield _row(
                setting,
                str(shape),
                shape,
                backward,
                reach=f">= {LEAST}x",
                rounds=few,
                part="grid",
            )


def worst(found: list[Row], count: int = 5) -> tuple[list[Row], str]:
    """The grid's rows with the smallest ratios, and a sentence about all of them."""
    compared = sorted((r for r in found if r.ratio is not None), key=lambda r: r.ratio)
    below = sum(not row.reached for row in compared)
    shapes = len({row.name.split()[0] for row in found})
    text = f"grid: {len(found)} timings of {shapes} shapes"
    if compared:
        text += f", {below} below {LEAST}x torch"
    return compared[:count] or found[:count], text
