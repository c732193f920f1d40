"""``minidl bench fwht``: the Walsh-Hadamard transform, against copying and GEMM."""

from collections.abc import Callable, Iterator
from math import log2

from .. import backend
from .. import functional as F
from ..autograd import grad
from ..kernels.fwht import in_place
from . import peers
from .measure import Row
from .setting import Setting

# rows x length, how, and the bar as a multiple of np.copyto of the same bytes
WORK = [
    ((2048, 4096), "in place", 1.5),
    ((64, 65536), "in place", 2.5),
    ((2048, 4096), "fwd", None),
    ((64, 65536), "fwd", None),
    ((4, 1 << 20), "fwd", None),
    ((8192, 1024), "fwd", None),
    ((1 << 17, 64), "fwd", None),
    ((2048, 4096), "fwd+bwd", None),
    ((64, 65536), "fwd+bwd", None),
]
GEMM_UP_TO = 4096  # longer rows make matrices that no one would multiply by
TITLE = "fast Walsh-Hadamard transform"
ABOUT = (
    "GEMM: the product with the Hadamard matrix; torch: stacked sums and differences"
)


def _power(n: int) -> str:
    """Long numbers, powers of two as they are here, made short."""
    return str(n) if n < 1 << 16 else f"2^{n.bit_length() - 1}"


def ours(setting: Setting, shape, how: str) -> Callable:
    """A call of ours; in place it runs on zeros, since repeating it would overflow."""
    x = setting.array(*shape)
    if how == "in place":
        x[...] = 0
        return lambda: in_place(x)
    if how == "fwd":
        x = setting.ours(x)
        return lambda: F.fwht(x)
    x, g = setting.ours(x, True), setting.ours(setting.array(*shape, seed=1))
    return lambda: grad(F.fwht(x), [x], g)


def theirs(setting: Setting, shape, how: str) -> Callable:
    """The butterfly in torch, which has none in place."""
    x = setting.theirs(setting.array(*shape), how == "fwd+bwd")
    if how != "fwd+bwd":
        return lambda: peers.fwht(x)
    g = setting.theirs(setting.array(*shape, seed=1))
    return lambda: setting.torch.autograd.grad(peers.fwht(x), [x], g)


def gemm(setting: Setting, shape) -> Callable:
    """The product with the Hadamard matrix."""
    x = setting.array(*shape)
    h = backend.asarray(peers.hadamard(shape[1]), None, setting.device)
    y = setting.xp.empty_like(x)
    return lambda: setting.xp.dot(x, h, out=y)


def rows(setting: Setting) -> Iterator[Row]:
    """One row for each entry of `WORK` (in place: on the CPU only)."""
    for shape, how, bar in WORK:
        if how == "in place" and setting.device != "cpu":
            continue
        passes = 2 if how == "fwd+bwd" else 1
        x = setting.array(*shape)
        copy = setting.copy(x)
        others = {"copyto": lambda n=passes, c=copy: [c() for _ in range(n)]}
        if shape[1] <= GEMM_UP_TO and passes == 1:
            others["GEMM"] = gemm(setting, shape)
        yield setting.pair(
            f"{_power(shape[0])} x {_power(shape[1])}, {how}",
            ours(setting, shape, how),
            lambda s=(shape, how): theirs(setting, *s),
            reach=f"<= {bar}x copyto" if bar else "",
            others=others,
            flop=passes * x.size * log2(shape[1]),
            bytes=2 * passes * x.nbytes,
        )
