"""``minidl bench dynamic``: kernels mixed for each image, and blocks left out."""

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np

from .. import nn
from ..autograd import grad, no_grad
from ..papers.conditional_conv import CondConv2d
from ..papers.resnet import ResNet
from .measure import Row
from .setting import Setting
from .twin import copy_state, twin

BATCH, CHANNELS, OUT, SIZE, EXPERTS = 64, 64, 128, 14, 8
WIDTHS, IMAGES = (16, 32, 64), 256  # of the residual net, and at how many it looks
KEPT = [(6, ""), (4, "<= 1x all"), (2, "<= 1x all")]  # of 6 blocks; the bar
TITLE = f"CondConv, {EXPERTS} experts, fwd+bwd"
ABOUT = (
    f"CondConv: {CHANNELS} to {OUT} channels, 3x3, batch {BATCH}, {SIZE}x{SIZE}; "
    "grouped: torch has all kernels as groups of one convolution; mixture: all experts "
    "convolve and their outputs are mixed, by us and by torch\n"
    "all: every image runs all 6 blocks of a residual net; torch: the same, what is "
    "not wanted times 0"
)


def layer(evaluation: str = "auto") -> CondConv2d:
    """The layer of the rows."""
    options = dict(experts=EXPERTS, bias=False, evaluation=evaluation)
    return CondConv2d(CHANNELS, OUT, 3, padding=1, **options)


def _arrays(setting):
    x = setting.array(BATCH, CHANNELS, SIZE, SIZE)
    return x, setting.array(BATCH, OUT, SIZE, SIZE, seed=1)


def ours(setting: Setting, module: nn.Module) -> Callable:
    """Forward and all gradients of one of our layers."""
    x, g = _arrays(setting)
    x, g = setting.ours(x, True), setting.ours(g)
    wanted = [x, *module.to(setting.device).parameters()]
    return lambda: grad(module(x), wanted, g)


def theirs(setting: Setting, module: nn.Module, mixture: bool = False) -> Callable:
    """The same of the layer's twin in torch, as one grouped convolution or not."""
    other = twin(module, device=setting.device).to(setting.device)
    copy_state(module, other)
    x, g = _arrays(setting)
    x, g = setting.theirs(x, True), setting.theirs(g)
    wanted, torch = [x, *other.parameters()], setting.torch

    def mixed():
        alpha, weight = other.routing(x), other.weight
        y = torch.nn.functional.conv2d(x, weight.flatten(0, 1), padding=1)
        y = y.unflatten(1, weight.shape[:2])
        return torch.einsum("bnohw,bn->bohw", y, alpha)

    forward = mixed if mixture else lambda: other(x)
    return lambda: torch.autograd.grad(forward(), wanted, g)


def needed() -> int:
    """Bytes that a step must hold: kernels of the batch and their gradients; x, y and
    the gradients by both."""
    kernels = BATCH * OUT * CHANNELS * 9
    images = BATCH * (CHANNELS + OUT) * SIZE * SIZE
    return 4 * 2 * (kernels + images)


def peak(step: Callable) -> int:
    """The most bytes that NumPy held during a step."""
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def skipping(setting: Setting, kept: int) -> dict[str, Callable]:
    """Inference with ``kept`` blocks for each image, not the same for all.

    By us ("some"), with all blocks ("all"), and by torch, which computes all blocks and
    multiplies what is not wanted by 0 ("torch", a function that makes the step).
    """
    net = ResNet((2, 2, 2), WIDTHS).to(setting.device).eval()
    images = setting.array(IMAGES, 3, 28, 28)
    order = np.random.default_rng(0).random((IMAGES, len(net.blocks))).argsort(1)
    keep = setting.xp.asarray((order < kept).astype(np.float32))
    x, chosen = setting.ours(images), setting.ours(keep)

    def run(*args):
        with no_grad():
            return net(x, *args)

    def torch():
        other = twin(net, device=setting.device).to(setting.device).eval()
        copy_state(net, other)
        args = setting.theirs(images), setting.theirs(keep)

        def step():
            with setting.torch.no_grad():
                return other(*args)

        return step

    return {"some": lambda: run(chosen), "all": run, "torch": torch}


def work(kept: int) -> dict[str, float]:
    """Floating point operations and bytes of `skipping`, at least: as if every block
    were left out equally often."""
    net, size = ResNet((2, 2, 2), WIDTHS), (28, 28)
    madds = nn.count(net.stem, (3, *size)).madds
    for block in net.blocks:
        short = block.shortcut
        madds += nn.count(block, (short.channels, *size)).madds * kept / len(net.blocks)
        size = tuple(-(-n // short.stride) for n in size)
    return dict(flop=2 * IMAGES * madds, bytes=4 * IMAGES * 3 * 28 * 28)


def rows(setting: Setting) -> Iterator[Row]:
    """CondConv against torch's two ways, then inference with fewer blocks."""
    flop = 2 * 3 * BATCH * OUT * CHANNELS * 9 * (SIZE * SIZE + EXPERTS)
    about = dict(flop=flop, bytes=needed())
    for bar, mixture in ((">= 3x", False), ("<= 1x mixture", True)):
        module = layer()
        others = {"mixture": ours(setting, layer("mixture"))} if mixture else {}
        note = ""
        if setting.device == "cpu" and not mixture:
            held, least = peak(ours(setting, module)) / 2**20, needed() / 2**20
            note = f"a step holds {held:.1f} MiB at most; {least:.1f} MiB are needed"
        yield setting.pair(
            "CondConv, mixture" if mixture else "CondConv, grouped",
            ours(setting, module),
            lambda module=module, mixture=mixture: theirs(setting, module, mixture),
            reach=bar,
            others=others,
            note=note,
            **about,
        )
    for kept, bar in KEPT:
        ways, name = skipping(setting, kept), f"{kept} of 6 blocks"
        about = dict(
            part=f"inference with blocks left out, {IMAGES} images", **work(kept)
        )
        about["others"] = {"all": ways["all"]}
        yield setting.pair(name, ways["some"], ways["torch"], reach=bar, **about)
