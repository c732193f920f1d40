"""Layers: torch's numbers, names and text, and what they refuse."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, RangeError, ShapeError
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

IMAGE = (2, 4, 7, 6)
LAYERS = [  # name, arguments, options, shape of the input (int: indices below that)
    ("Linear", (5, 3), {}, (2, 4, 5)),
    ("Linear", (5, 3), {"bias": False}, (4, 5)),
    ("Embedding", (7, 3), {}, 7),
    ("Conv2d", (4, 6, 3), {}, IMAGE),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0)}, IMAGE),
    ("Conv2d", (4, 6, 3, 1, 2, 2, 2, False), {}, IMAGE),
    ("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, IMAGE),
    ("Conv2d", (4, 2, 1), {"padding": "valid"}, IMAGE),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGE),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1, 2, False, 1), {}, IMAGE),
    ("ConvTranspose2d", (4, 2, (2, 3)), {"stride": 3, "dilation": 2}, IMAGE),
    ("BatchNorm2d", (4,), {}, IMAGE),
    ("BatchNorm2d", (4,), {"eps": 0.1, "momentum": 0.3, "affine": False}, IMAGE),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGE),
    ("LayerNorm", (6,), {}, IMAGE),
    ("LayerNorm", ((7, 6),), {"eps": 0.1, "bias": False}, IMAGE),
    ("LayerNorm", ([6],), {"elementwise_affine": False}, IMAGE),
    ("MaxPool2d", (2,), {}, IMAGE),
    ("MaxPool2d", ((3, 2), 2, 1), {"dilation": 2, "ceil_mode": True}, IMAGE),
    ("AvgPool2d", (2,), {}, IMAGE),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, IMAGE),
    ("AvgPool2d", (2,), {"divisor_override": 3}, IMAGE),
    ("AdaptiveAvgPool2d", ((3, None),), {}, IMAGE),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGE),
    ("Flatten", (), {}, IMAGE),
    ("Flatten", (2, 3), {}, IMAGE),
    ("Upsample", ((9, 5),), {"mode": "nearest"}, IMAGE),
    ("Upsample", (), {"size": (9, 5), "mode": "bilinear"}, IMAGE),
    ("ChannelShuffle", (3,), {}, (2, 6, 3, 2)),
    ("Identity", (), {}, (3, 4)),
    ("ReLU", (), {}, (3, 4)),
    ("ReLU6", (), {}, (3, 4)),
    ("ELU", (), {}, (3, 4)),
    ("ELU", (0.3,), {}, (3, 4)),
    ("LeakyReLU", (), {}, (3, 4)),
    ("LeakyReLU", (0.3,), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softplus", (), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", ("tanh",), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("LogSoftmax", (-1,), {}, (3, 4)),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(LAYERS)]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def draw(shape, start=0):
    r = np.random.default_rng(start)
    return (
        r.integers(0, shape, (2, 3)) if isinstance(shape, int) else r.normal(size=shape)
    )


def shown(module):
    """A repr of torch's, without the options that minidl has not."""
    text = repr(module).replace(", inplace=False", "")
    if "BatchNorm" in text:
        text = text.replace(" bias=True,", "").replace(" bias=False,", "")
    return text


# --- parity with torch --------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name, args, options, shape", LAYERS, ids=IDS)
def test_layer_equals_torchs(torch, name, args, options, shape, training):
    ours = getattr(nn, name)(*args, **options).to("float64").train(training)
    theirs = getattr(torch.nn, name)(*args, **options).double().train(training)
    assert repr(ours) == shown(theirs)
    state = {
        k: v.numpy() for k, v in theirs.state_dict().items() if "num_batch" not in k
    }
    assert list(ours.state_dict()) == list(state)
    for k, v in state.items():  # away from ones and zeros, variances positive
        v[...] = np.abs(draw(v.shape, 5)) + 0.5
    ours.load_state_dict(state)
    for step in range(3):  # running statistics move in each
        data = draw(shape, step)
        x, tx = Tensor(data), torch.tensor(data)
        if data.dtype.kind == "f":
            x.requires_grad_(), tx.requires_grad_()
        y, ty = ours(x), theirs(tx)
        assert_close(y.detach().data, ty.detach().numpy(), "float64", "output")
        g = draw(y.shape, 9)
        if y.requires_grad:
            y.backward(Tensor(g))
            ty.backward(torch.tensor(g))
        if data.dtype.kind == "f":
            assert_close(x.grad.data, tx.grad.numpy(), "float64", "input gradient")
    for (k, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad.data, q.grad.numpy(), "float64", f"gradient of {k}")
    back = {k: torch.tensor(v.data) for k, v in ours.state_dict().items()}
    for k, v in theirs.state_dict().items():
        if "num_batch" not in k:
            assert_close(back[k].numpy(), v.numpy(), "float64", f"state {k}")
    assert not theirs.load_state_dict(back, strict=False).unexpected_keys


def build(library):
    """A model with nesting, sharing and every kind of state, in either library."""
    n = library.nn
    shared = n.Linear(3, 3)
    return n.Sequential(
        n.Sequential(n.Conv2d(2, 3, 3, bias=False), n.BatchNorm2d(3), n.ReLU()),
        n.Flatten(2),
        n.ModuleList([shared, n.Sequential(shared, n.Tanh())]),
        n.Dropout(0.25),
    )


def test_names_of_nested_and_shared_modules_equal_torchs(torch):
    ours, theirs = build(minidl), build(torch)
    assert repr(ours) == shown(theirs)
    for method in ("named_parameters", "named_modules", "named_children"):
        names = [[k for k, _ in getattr(m, method)()] for m in (ours, theirs)]
        assert names[0] == names[1], method
    buffers = [k for k, _ in theirs.named_buffers() if "num_batch" not in k]
    assert [k for k, _ in ours.named_buffers()] == buffers
    assert list(ours.state_dict()) == [
        k for k in theirs.state_dict() if "num_b" not in k
    ]
    assert len(list(ours.parameters())) == len(list(theirs.parameters())) == 5
    assert repr(ours[1:3]) == repr(theirs[1:3])


def test_default_weights_are_distributed_as_torchs(torch):
    for name, args in (
        ("Linear", (50, 400)),
        ("Conv2d", (10, 80, 5)),
        ("ConvTranspose2d", (30, 40, 4)),
        ("Embedding", (200, 100)),
    ):
        ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
        for (k, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            q = q.detach().numpy()
            few = 4 / math.sqrt(q.size)  # four standard errors of a mean, generously
            assert abs(p.data.std() / q.std() - 1) < max(few, 0.01), (name, k)
            if name != "Embedding":
                assert p.data.max() == pytest.approx(q.max(), rel=2 * few)


# --- every layer by the generic checks ----------------------------------------------


@pytest.mark.parametrize("name, args, options, shape", LAYERS, ids=IDS)
def test_layer_passes_the_generic_checks(name, args, options, shape):
    layer = getattr(nn, name)(*args, **options)
    check_layer(layer, Tensor(draw(shape)))
    assert all(p.dtype == "float64" for p in layer.parameters())


def test_global_average_pooling():
    check_layer(nn.GlobalAvgPool2d(), Tensor(draw(IMAGE)))
    y = nn.GlobalAvgPool2d()(Tensor(draw(IMAGE)))
    assert_close(y.data, draw(IMAGE).mean((2, 3)), "float64", "mean")
    with pytest.raises(ShapeError, match="GlobalAvgPool2d: input must be 4-D"):
        nn.GlobalAvgPool2d()(Tensor(draw((2, 3))))


def test_float32_layers_stay_float32():
    for name, args, options, shape in LAYERS:
        data = draw(shape)
        data = data if data.dtype == "int64" else data.astype("float32")
        y = getattr(nn, name)(*args, **options)(Tensor(data))
        assert y.dtype == "float32", name


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.3), Tensor(np.ones((100, 100), "float32"))
    y = layer(x).data
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.02
    assert layer.eval()(x) is x
    assert repr(layer) == "Dropout(p=0.3)"


REFUSED = [
    (lambda: nn.Linear(0, 3), "Linear: in_features must be an integer >= 1; got 0"),
    (
        lambda: nn.Linear(3, 2.5),
        "Linear: out_features must be an integer >= 1; got 2.5",
    ),
    (lambda: nn.Conv2d(-3, 4, 3), "Conv2d: in_channels must be .* >= 1; got -3"),
    (lambda: nn.Conv2d(3, True, 3), "Conv2d: out_channels must be .*; got True"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: groups must divide out_channels 6"),
    (lambda: nn.Conv2d(3, 6, 3, groups=2), "Conv2d: groups must divide in_channels 3"),
    (lambda: nn.Conv2d(3, 6, 3, groups=0), "Conv2d: groups must be .* >= 1; got 0"),
    (lambda: nn.Conv2d(3, 6, 0), "Conv2d: kernel_size must be .* >= 1.*; got 0"),
    (lambda: nn.Conv2d(3, 6, 3, stride=(1, 2, 3)), "Conv2d: stride must be"),
    (lambda: nn.Conv2d(3, 6, 3, padding=-1), "Conv2d: padding must be .* >= 0"),
    (lambda: nn.Conv2d(3, 6, 3, padding="full"), "Conv2d: padding must be.*got 'full'"),
    (lambda: nn.Conv2d(3, 6, 3, 2, "same"), "Conv2d: padding 'same' needs stride 1"),
    (lambda: nn.ConvTranspose2d(3, 6, 3, dilation=0), "ConvTranspose2d: dilation must"),
    (lambda: nn.ConvTranspose2d(3, 6, 3, output_padding=-1), "output_padding must be"),
    (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features must be"),
    (lambda: nn.BatchNorm2d(3, momentum=None), "BatchNorm2d: momentum must be"),
    (lambda: nn.BatchNorm2d(3, eps=-1.0), "BatchNorm2d: eps must be"),
    (lambda: nn.LayerNorm((3, 0)), "LayerNorm: normalized_shape must be"),
    (lambda: nn.Dropout(1.5), r"Dropout: p must be a number in \[0, 1\]; got 1.5"),
    (lambda: nn.Dropout(float("nan")), "Dropout: p must be"),
    (lambda: nn.Dropout("half"), "Dropout: p must be"),
    (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be"),
    (lambda: nn.MaxPool2d(2, 0), "MaxPool2d: stride must be"),
    (lambda: nn.MaxPool2d(3, padding=2), "MaxPool2d: padding must be at most half"),
    (lambda: nn.MaxPool2d(3, dilation=0), "MaxPool2d: dilation must be"),
    (
        lambda: nn.AvgPool2d(2, divisor_override=0),
        "AvgPool2d: divisor_override must be",
    ),
    (lambda: nn.AdaptiveAvgPool2d((0, 2)), "AdaptiveAvgPool2d: output_size must be"),
    (lambda: nn.Embedding(3, 0), "Embedding: embedding_dim must be"),
    (lambda: nn.LeakyReLU("x"), "LeakyReLU: negative_slope must be"),
    (lambda: nn.ELU("x"), "ELU: alpha must be"),
    (lambda: nn.ChannelShuffle(0), "ChannelShuffle: groups must be .* >= 1; got 0"),
    (lambda: nn.scaled("net", 8, 0.1), "net: width must leave at least one of 8 chan"),
    (lambda: nn.scaled("net", 8, -1), "net: width must be a number"),
    (lambda: nn.scaled("net", 8, float("inf")), "net: width must be a number"),
    (lambda: nn.Concat(nn.ReLU(), minidl.relu), "Concat: element 1 must be a Module"),
    (lambda: nn.Softplus(0.0), "Softplus: beta must be > 0; got 0.0"),
    (lambda: nn.GELU("erf"), "GELU: approximate must be 'none' or 'tanh'; got 'erf'"),
    (lambda: nn.Upsample(), "Upsample: either size or scale_factor"),
    (lambda: nn.Upsample(2, 3), "Upsample: either size or scale_factor"),
    (lambda: nn.Upsample(2, mode="cubic"), "Upsample: mode must be"),
    (
        lambda: nn.Sequential(nn.ReLU(), minidl.relu),
        "Sequential: element 1 must be a Mod",
    ),
    (
        lambda: nn.Sequential({"forward": nn.ReLU()}),
        "name must be new, .*; got 'forward'",
    ),
    (lambda: nn.Sequential({"a.b": nn.ReLU()}), "name must be new, .*; got 'a.b'"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"BatchNorm2d: input must be \(N, 3, H, W\)"):
        nn.BatchNorm2d(3)(Tensor(np.ones((2, 4, 5, 5), "float32")))
    with pytest.raises(RangeError, match="embedding: index must be"):
        nn.Embedding(3, 2)(Tensor(np.array([3])))


def test_residual_and_concat_join_what_stands_in_them():
    x = Tensor(draw((2, 3, 4, 4)))
    body = nn.Conv2d(3, 3, 1).to("float64")
    plain, beside = nn.Residual(body), nn.Residual(body, nn.ReLU())
    assert_close(plain(x).data, body(x).data + x.data, "float64", "identity")
    assert_close(beside(x).data, body(x).data + x.relu().data, "float64", "shortcut")
    assert [name for name, _ in plain.named_parameters()] == [
        "body.weight",
        "body.bias",
    ]
    side = nn.Concat(body, nn.Identity(), nn.ReLU())
    parts = [body(x).data, x.data, x.relu().data]
    assert_close(side(x).data, np.concatenate(parts, 1), "float64", "branches")
    assert side[1:](x).shape == (2, 6, 4, 4) and side[-1](x).shape == (2, 3, 4, 4)
    with pytest.raises(minidl.MinidlError):
        nn.Residual(nn.Conv2d(3, 2, 1).to("float64"))(x)


@pytest.mark.parametrize("name", ["Residual", "Concat", "conv_bn"])
def test_blocks_pass_the_generic_checks(name):
    block = {
        "Residual": lambda: nn.Residual(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()),
        "Concat": lambda: nn.Concat(nn.Conv2d(3, 2, 1), nn.Sigmoid()),
        "conv_bn": lambda: nn.Sequential(*nn.conv_bn(3, 6, 3, 2, groups=3)),
    }[name]()
    check_layer(block, Tensor(draw((2, 3, 4, 5))))


def test_conv_bn_keeps_the_size_and_leaves_the_bias_to_the_norm():
    layers = nn.conv_bn(4, 8, 5, groups=2)
    assert [type(m).__name__ for m in layers] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert layers[0].bias is None and layers[0].groups == 2
    net = nn.Sequential(*layers, *nn.conv_bn(8, 6, 1, 2, relu=False))
    assert len(net) == 5
    assert net(Tensor(np.zeros((1, 4, 7, 6), np.float32))).shape == (1, 6, 4, 3)


def test_scaled_rounds_down():
    assert [nn.scaled("net", 32, w) for w in (1, 0.75, 0.5, 0.03125)] == [32, 24, 16, 1]
    assert nn.scaled("net", 33, 0.5) == 16


def test_count_tells_what_is_trained_from_what_is_kept():
    net = nn.Sequential(*nn.conv_bn(3, 4, 3, 2), nn.GlobalAvgPool2d(), nn.Linear(4, 5))
    found = minidl.count(net, (3, 6, 6))
    assert found == nn.Count(4 * 27 + 8 + 25, 8, 4 * 27 * 9 + 20)
    shared = nn.Sequential(net[0], net[1], net[1])
    assert nn.count(shared, (3, 6, 6))[:2] == (4 * 27 + 8, 8)
    with pytest.raises(minidl.MinidlError, match="refused input_shape"):
        minidl.count(net, (2, 6, 6))
