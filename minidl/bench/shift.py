"""``minidl bench shift``: channels moved by whole pixels, against np.copyto."""

from collections.abc import Callable, Iterator

from .. import functional as F
from ..autograd import grad
from . import peers
from .measure import Row
from .setting import Setting

BAR = 1.1  # times np.copyto of the same bytes, each pass
SHAPES = {
    "3x3": ((64, 64, 32, 32), 3),
    "5x5": ((64, 64, 32, 32), 5),
    "big 3x3": ((1, 16, 1024, 1024), 3),
}
TITLE = "shift"
ABOUT = (
    "64x64x32x32, big: 1x16x1024x1024; channels go through the offsets of a square in "
    "turn; torch: the faster of a depthwise convolution and slices of a padded copy"
)


def displacements(channels: int, side: int) -> tuple[list[int], list[int]]:
    """dy and dx of each channel: all offsets of a side x side square in turn."""
    reach = side // 2
    at = [divmod(c % side**2, side) for c in range(channels)]
    return [i - reach for i, _ in at], [j - reach for _, j in at]


def ours(setting: Setting, shape, side: int, backward: bool) -> Callable:
    """A call of ours, with the gradient if ``backward``."""
    dy, dx = displacements(shape[1], side)
    x = setting.ours(setting.array(*shape), backward)
    g = setting.ours(setting.array(*shape, seed=1))
    if not backward:
        return lambda: F.shift(x, dy=dy, dx=dx)
    return lambda: grad(F.shift(x, dy=dy, dx=dx), [x], g)


def theirs(setting: Setting, shape, side: int, backward: bool) -> Callable:
    """The same in torch, in the faster of two ways of writing it."""
    x = setting.theirs(setting.array(*shape), backward)
    g = setting.theirs(setting.array(*shape, seed=1))
    ways = []
    for shift in peers.SHIFTS.values():
        move = shift(*displacements(shape[1], side), device=setting.device)
        if backward:
            ways.append(lambda m=move: setting.torch.autograd.grad(m(x), [x], g))
        else:
            ways.append(lambda m=move: m(x))
    return peers.faster(ways, setting.sync)


def rows(setting: Setting) -> Iterator[Row]:
    """Each shape forward, then with the gradient: two passes."""
    for name, (shape, side) in SHAPES.items():
        for backward in (False, True):
            passes = 2 if backward else 1
            x = setting.array(*shape)
            copy = setting.copy(x)
            yield setting.pair(
                f"{name} {'fwd+bwd' if backward else 'fwd'}",
                ours(setting, shape, side, backward),
                lambda s=(shape, side, backward): theirs(setting, *s),
                reach=f"<= {BAR}x copyto",
                others={"copyto": lambda n=passes, c=copy: [c() for _ in range(n)]},
                flop=0,
                bytes=2 * x.nbytes * passes,
            )
