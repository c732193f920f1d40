"""``minidl bench fastfood``: the trained layer, against its floor and dense layers."""

from collections.abc import Callable, Iterator
from math import log2

from .. import nn
from ..autograd import grad
from ..papers.fastfood import Fastfood
from .measure import Row
from .setting import Setting
from .twin import twin

BATCH = 256
# inputs = outputs, and the bar: the dense layer's time, or that of the bytes that move
WORK = [
    (256, ""),
    (512, "<= 1x dense"),
    (1024, "<= 1x dense"),
    (2048, "<= 1x dense"),
    (4096, "<= 1x dense"),
    (4096, "<= 3x floor"),
]
TITLE = f"adaptive Fastfood layers d x d, fwd+bwd, batch {BATCH}"
ABOUT = (
    "floor: np.copyto of the bytes that must move, x, y and the gradients by both; "
    "dense: nn.Linear; torch: Fastfood by stacked sums and differences"
)


def ours(setting: Setting, layer: nn.Module, d: int) -> Callable:
    """Forward and all gradients of one of our layers."""
    x, g = setting.ours(setting.array(BATCH, d), True), setting.array(BATCH, d, seed=1)
    wanted, g = [x, *layer.to(setting.device).parameters()], setting.ours(g)
    return lambda: grad(layer(x), wanted, g)


def theirs(setting: Setting, layer: Fastfood, d: int) -> Callable:
    """The same of the layer's twin in torch."""
    other = twin(layer, device=setting.device).to(setting.device)
    x = setting.theirs(setting.array(BATCH, d), True)
    wanted = [x, *other.parameters()]
    g = setting.theirs(setting.array(BATCH, d, seed=1))
    return lambda: setting.torch.autograd.grad(other(x), wanted, g)


def moved(d: int) -> int:
    """Float32 numbers: x and y forward; x, the gradient of y, that of x backward."""
    return 5 * BATCH * d


def rows(setting: Setting) -> Iterator[Row]:
    """One row for each entry of `WORK`."""
    for d, bar in WORK:
        layer = Fastfood(d, d, adaptive=True)
        others = {"floor": setting.copy(setting.array(moved(d) // 2))}
        others["dense"] = ours(setting, nn.Linear(d, d, bias=False), d)
        yield setting.pair(
            f"d = {d}" + (", floor" if "floor" in bar else ""),
            ours(setting, layer, d),
            lambda layer=layer, d=d: theirs(setting, layer, d),
            reach=bar,
            others=others,
            flop=6 * BATCH * d * log2(d),
            bytes=4 * moved(d),
        )
