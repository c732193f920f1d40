"""The papers' layers and models on a GPU: as on the CPU, without a wait for the host.

On the look-alike of CuPy everywhere, on a real GPU where there is one.
"""

import lookalike
import pytest

import minidl
from minidl import models, nn
from minidl.papers import (
    active_shift,
    channel_local_conv,
    fastfood,
    inception,
    interleaved_group_conv,
    random_features,
    random_projection,
    resnet,
    shift,
    squeeze_excitation,
    xception,
)
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close

PAPERS = sorted(set(models.MODELS) - {"mlp", "lenet"})
# The smallest images that a model takes: here every thread of a kernel takes its turn.
SIZES = {name: (16, 17) for name in PAPERS if "fastfood" in name or "svd" in name}
SIZES |= {"lenet-reference": (16, 17), "xception": (8, 9)}


class Remembering(nn.Module):
    """Two steps of an LSTM over an image's rows of channels."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(6, 4)

    def forward(self, x):
        first, second = x[:, :, 0, 0], x[:, :, 1, 1]
        return self.cell(second, self.cell(first))[0]


LAYERS = {
    "shift": lambda: shift.Shift2d(6),
    "residual block": lambda: resnet.Block(6, 8, 2),
    "lstm": Remembering,
    "csc": lambda: shift.csc(6, 4, 2, 2),
    "csc preactivation": lambda: shift.csc(6, 4, 2, 2, order="preactivation"),
    "sc2": lambda: shift.sc2(6, 4, 2),
    "inception": lambda: inception.Inception(6, (2, 2, 3, 2, 3, 2)),
    "separable": lambda: xception.SeparableConv2d(6, 4, activation="elu"),
    "simplified inception": lambda: xception.simplified_inception(6, [(2, 3), (4, 2)]),
    "same pool": xception.SameMaxPool2d,
    "squeeze-excitation": lambda: squeeze_excitation.SqueezeExcitation(6, 2),
    "clc": lambda: channel_local_conv.clc(6, 8, 2, 2, 2),
    "igcv1": lambda: interleaved_group_conv.igcv1_block(3, 2),
    "igcv2": lambda: interleaved_group_conv.igcv2_block(6, (1, 2, 3)),
    "igcv3": lambda: interleaved_group_conv.igcv3_block(6, 6),
    "fastfood": lambda: nn.Sequential(fastfood.Fastfood(6, 11, 2.0), nn.ReLU()),
    "adaptive fastfood": lambda: fastfood.Fastfood(6, 24, adaptive=True, bias=True),
    "random features": lambda: random_features.random_features(6, 5, form="phased"),
    "paired features": lambda: fastfood.fastfood_features(6, 5),
    "arc-cosine": lambda: random_features.ArcCosine(2),
    "hadamard projection": lambda: random_projection.HadamardProjection(6, 4),
}


@pytest.fixture(params=["lookalike", pytest.param("device", marks=pytest.mark.gpu)])
def cuda(request):
    """The look-alike, and a real device on a machine with a GPU."""
    if request.param == "device":
        yield None
        return
    with lookalike.installed() as module:
        yield module


def results(net, x, g, device):
    """Output, gradients and buffers after one forward and one backward pass."""
    x = Tensor(x).to(device)
    x.requires_grad_()
    y = net(x)
    y.backward(Tensor(g(y.shape)).to(device))
    found = [y, x.grad, *(p.grad for p in net.parameters())]
    return found + [b for _, b in net.named_buffers()]


def compare(make, x):
    """``make()`` on both devices; returns how often the host waited for the GPU."""
    both, waits = [], 0
    for device in ("cpu", "cuda"):
        minidl.manual_seed(2)
        net = make().to("float64").to(device)
        lookalike.syncs.clear()
        both.append(results(net, x, lambda shape: Draw(1)(*shape), device))
        waits = len(lookalike.syncs)
    assert all(t.device == "cuda" for t in both[1])
    for i, (a, b) in enumerate(zip(*both, strict=True)):
        assert_close(b.cpu().data, a.data, "float64", f"result {i}")
    return waits


@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree_and_do_not_wait(cuda, name):
    assert compare(LAYERS[name], Draw(5)(3, 6, 5, 6)) == 0


def test_the_host_reads_how_far_an_active_shift_goes(cuda):
    waits = compare(lambda: active_shift.ActiveShift2d(6), Draw(5)(3, 6, 5, 6))
    assert cuda is None or waits == 2  # alpha and beta


def train(net, size, device, steps=2):
    """Losses of some steps, still on the device."""
    optimizer = minidl.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    x = Tensor(Draw(3)(2, 1, *size)).to(device)
    y = Tensor(Draw(4).integers(3, 2)).to(device)
    seen = []
    for _ in range(steps):
        _, loss = net.objective(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss)
    return seen


def compare_training(cuda, name, size, epoch=0):
    """Both devices train alike; returns how often the host waited for the GPU."""
    losses, waits = {}, 0
    for device in ("cpu", "cuda"):
        minidl.manual_seed(2)
        net = models.create(name, (1, *size), 3).to("float64").to(device)
        for i in {0, epoch // 2, epoch}:
            net.start_epoch(i, 10)
        if cuda is not None:
            lookalike.syncs.clear()
        seen = train(net, size, device)
        waits = 0 if cuda is None else len(lookalike.syncs)
        losses[device] = [float(v.cpu().item()) for v in seen]
        assert all(p.device == device for p in net.parameters())
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-9)
    return waits


@pytest.mark.parametrize("name", PAPERS)
def test_a_training_step_agrees_and_does_not_wait(cuda, name):
    waits = compare_training(cuda, name, SIZES.get(name, (4, 5)))
    assert waits == 0 or name == "routing"  # its table is kept by the host


@pytest.mark.parametrize(
    "name, epoch, waits",
    [
        ("skipnet", 9, False),
        ("blockdrop", 6, True),  # blocks are left out, and the host has to know which
        ("blockdrop", 9, True),
        ("metapruning", 3, True),  # candidates are bred by the host
        ("metapruning", 9, False),
    ],
)
def test_later_stages_of_training_agree(cuda, name, epoch, waits):
    waited = compare_training(cuda, name, (4, 5), epoch)
    assert cuda is None or (waited > 0) == waits


@pytest.mark.parametrize("name", ["skipnet", "blockdrop", "metapruning", "routing"])
def test_results_agree_out_of_training(cuda, name):
    found = []
    for device in ("cpu", "cuda"):
        minidl.manual_seed(2)
        net = models.create(name, (1, 5, 6), 3).to("float64").to(device)
        if name == "blockdrop":
            net.allow(4)
        found.append(net.eval()(Tensor(Draw(3)(4, 1, 5, 6)).to(device)).cpu().data)
    assert_close(found[1], found[0], "float64", "logits")


def test_all_layers_are_modules():
    assert all(isinstance(make(), nn.Module) for make in LAYERS.values())
