"""``minidl bench train``: whole training steps, time and peak memory."""

from collections.abc import Iterator

from ..modes import watch_ops
from ..nn.summary import MULTIPLY_ADDS
from . import measure, memory, nets, peers
from .measure import Row
from .setting import Setting

BARS = {
    "mlp": ">= 1x",
    "lenet": ">= 1x",
    "separable": ">= 3x",
    "shift": ">= 3x",
    "shiftnet": ">= 3x",
    "xception": ">= 3x",
    "mobilenet": ">= 3x",
    "clcnet": ">= 3x",
    "clcnet, straight": "",  # without the interlaces, which shows what they cost
    "shiftresnet": "",
    "igcv1": "",
    "igcv2": "",
    "igcv3": "",
    "fastfood-1024": "",
    "adaptive-fastfood-1024": "",
}
WEIGHED = ("mlp", "lenet", "separable", "shift")  # whose memory is measured
MEMORY = ">= 0.83x"  # our peak is at most 1.2 times torch's
TITLE = f"training steps, batch {nets.BATCH} of 28x28"
NOTE = "torch's shift is written as {}, the faster of " + " and ".join(peers.SHIFTS)
ABOUT = f"memory: {MEMORY} means at most 1.2 times torch's peak"
FEW = 3  # processes for each figure of memory


def cost(name: str, size: int = nets.BATCH) -> tuple[float, float]:
    """FLOP of one step's matrix-like ops; bytes that its ops read and write in turn.

    The update of a parameter reads it, its gradient and its momentum, and writes two.
    """
    net, found = nets.our_net(name), [0, 0]

    def watch(op, arrays, options, y):
        if op in MULTIPLY_ADDS:
            found[0] += 2 * MULTIPLY_ADDS[op](arrays, y, **options)
        found[1] += sum(getattr(a, "nbytes", 0) for a in (*arrays, y))

    with watch_ops(watch):
        nets.our_step(name, size, net=net)()
    updates = sum(5 * p.data.nbytes for p in net.parameters())
    return found[0], found[1] + updates


def rows(setting: Setting) -> Iterator[Row]:
    """The steps' times, then the peaks of their memory."""
    device = setting.device
    shift = nets.fastest_shift(setting) if setting.torch else "depthwise"
    for name, reach in BARS.items():
        flop, moved = cost(name)
        yield setting.pair(
            f"{name} step",
            nets.our_step(name, device=device),
            lambda n=name: nets.torch_step(n, device=device, shift=shift),
            reach=reach,
            flop=flop,
            bytes=moved,
            note=NOTE.format(shift) if name in nets.SHIFTING else "",
        )
    weighed = [n for n in WEIGHED if n in BARS] if memory.can_tell(device) else []
    for name in weighed:
        yield measure.processes(
            f"{name} memory",
            lambda: memory.peak(setting, name, nets.BATCH),
            setting.torch and (lambda: memory.peak(setting, name, nets.BATCH, shift)),
            min(setting.rounds, FEW),
            "MiB",
            MEMORY,
        )
