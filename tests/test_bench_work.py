"""What the benchmarks measure: fair timing, known counts, equal work on both sides."""

import numpy as np
import pytest

from minidl import backend
from minidl import functional as F
from minidl.bench import (
    conv,
    dynamic,
    fastfood,
    fwht,
    measure,
    memory,
    nets,
    peers,
    roofline,
    shift,
    train,
)
from minidl.bench.ceilings import Ceilings
from minidl.bench.measure import Row, Versus
from minidl.bench.setting import Setting
from minidl.bench.shapes import Shape
from minidl.errors import ArgumentError, BackendError, MinidlError, UnknownNameError
from minidl.papers import resnet
from minidl.papers.fastfood import Fastfood
from minidl.tensor import Tensor

LIMITS = Ceilings(copy=10e9, gemm=100e9)


# How things are timed, and what follows from it.


def test_ours_and_the_peers_are_timed_in_turn(monkeypatch):
    order, clock = [], iter(range(1000))
    monkeypatch.setattr(measure, "repeats", lambda f, sync: 1)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    calls = {name: (lambda n=name: order.append(n)) for name in "abc"}
    others = {"c": calls["c"]}
    row = measure.pair("x", calls["a"], calls["b"], 3, others=others, flop=8, bytes=4)
    wakened = "".join(order)  # each is called once untimed before it is timed
    assert wakened in ("aabbcc" * 3, "aaccbb" * 3)
    assert (row.ours, row.peer, row.unit, row.ratio) == (1, 1, "s", 1)
    assert row.others == {"c": Versus(1, 1)} and row.rate("flop") == 8


def test_the_ratio_is_the_median_of_pairs(monkeypatch):
    spent = iter([1.0, 2.0, 1.0, 9.0, 4.0, 4.0])
    monkeypatch.setattr(measure, "repeats", lambda f, sync: 1)
    monkeypatch.setattr(measure, "timing", lambda f, n, sync: next(spent))
    row = measure.pair("x", lambda: 0, lambda: 0, 3)
    assert (row.ours, row.peer, row.ratio) == (1.0, 4.0, 2.0)


def test_a_slow_peer_joins_the_first_pairs_only(monkeypatch):
    count = {"fast": 0, "slow": 0}

    def timing(function, n, sync):
        count[function()] += 1
        return {"fast": 0.1, "slow": 0.5}[function()]

    monkeypatch.setattr(measure, "repeats", lambda f, sync: 1)
    monkeypatch.setattr(measure, "timing", timing)
    row = measure.pair("x", lambda: "fast", lambda: "slow", 10)
    assert count == {"fast": 10, "slow": measure.FEW} and row.ratio == pytest.approx(5)


def test_repeats_fill_the_least_time(monkeypatch):
    now = [0.0]

    def work():
        now[0] += 0.003

    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    assert 7 <= measure.repeats(work) <= 14


REACHED = [
    (">= 3x", dict(ratio=3.0), True),
    (">= 3x", dict(ratio=2.9), False),
    (">= 3x", dict(ratio=None), None),
    ("", dict(ratio=3.0), None),
    ("<= 1.1x copyto", dict(others={"copyto": Versus(1, 0.95)}), True),
    ("<= 1.1x copyto", dict(others={"copyto": Versus(1, 0.9)}), False),
    ("<= 1.1x copyto", dict(ratio=99.0), None),
    ("<= 0.35 s", dict(ours=0.3), True),
    ("<= 0.35 s", dict(ours=0.4), False),
]


@pytest.mark.parametrize("reach, fields, holds", REACHED)
def test_whether_a_bar_holds(reach, fields, holds):
    row = dict(name="x", ours=1.0, peer=None, unit="s", ratio=None) | fields
    assert Row(**row, reach=reach).reached is holds


def test_shares_of_the_ceilings():
    row = Row("x", 100.0, 300.0, "ms", 3.0, flop=2e9, bytes=5e8)
    found = LIMITS.rates(row)
    assert found["gflop_per_s"] == pytest.approx(20)
    assert found["gb_per_s"] == pytest.approx(5)
    assert found["share_of_gemm"] == pytest.approx(0.2)
    assert found["share_of_copy"] == pytest.approx(0.5)
    assert LIMITS.share(row) == (pytest.approx(0.5), "copy")
    assert LIMITS.at(4) == 40e9 and LIMITS.at(40) == 100e9
    assert LIMITS.share(Row("x", 2.0, 3.0, "MiB", 1.5)) is None


def test_labels_of_the_roofline_do_not_overlap():
    pytest.importorskip("matplotlib")
    from matplotlib.text import Annotation, Text

    rows = [
        Row(f"g = {g} {p}", t, 2 * t, "ms", 2.0, flop=1e9 * (1 + g % 3), bytes=1e9)
        for g in range(9)
        for p, t in (("fwd", 100 + g), ("fwd+bwd", 101 + g))
    ]
    figure = roofline.picture("crowd", rows, LIMITS, "torch")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    labels = [a for a in figure.axes[0].texts if isinstance(a, Annotation)]
    boxes = [Text.get_window_extent(a, renderer) for a in labels]
    assert {row.name for row in rows} <= {a.get_text() for a in labels}
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


# Shapes of convolutions, and what is said of them.


def test_a_shape_is_read_counted_and_written():
    shape = Shape.parse("64x32x28x28,out=64,k=3x5,s=2,p=1x2,d=1,g=32")
    assert shape == Shape(
        (64, 32, 28, 28), 64, (3, 5), (2, 2), (1, 2), (1, 1), groups=32
    )
    assert str(shape) == "64x32x28x28,out=64,k=3x5,s=2,p=1x2,g=32"
    assert (shape.w, shape.y) == ((64, 1, 3, 5), (64, 64, 14, 14))
    assert shape.flop == 2 * 64 * 64 * 14 * 14 * 15
    sizes = 64 * 32 * 28 * 28 + 64 * 15 + 64 * 64 * 14 * 14
    assert shape.bytes == 4 * sizes
    assert Shape.parse("1x8x5x5") == Shape((1, 8, 5, 5), 8)
    same = Shape.parse("1x8x5x5,k=4,p=same")
    assert same.pads == ((1, 2), (1, 2)) and same.y == (1, 8, 5, 5)


NONSENSE = [
    ("", "got NxCxHxW ''"),
    ("1x2x3", "has 4 numbers; got '1x2x3'"),
    ("1x2x3xy", "got NxCxHxW '1x2x3xy'"),
    ("1x0x3x3", "must be >= 1; got '1x0x3x3'"),
    ("1x2x3x3,k=0", "k must be >= 1; got '0'"),
    ("1x2x3x3,k=1x2x3", "k has 2 numbers; got '1x2x3'"),
    ("1x2x3x3,p=-1", "got p '-1'"),
    ("1x2x3x3,k=1.5", "got k '1.5'"),
    ("1x2x3x3,size=3", "got 'size=3'"),
    ("1x2x3x3,3", "got '3'"),
    ("1x2x3x3,k=1,k=3", "k is given twice"),
    ("1x2x3x3,g=3", "g=3 must divide 2 input channels"),
    ("1x4x3x3,out=6,g=4", "g=4 must divide 6 output channels"),
    ("1x2x3x3,k=5", "must fit into the padded image"),
    ("1x2x3x3,k=3,s=2,p=same", "p=same needs s=1"),
]


@pytest.mark.parametrize("text, says", NONSENSE)
def test_a_shape_that_makes_no_sense_is_refused(text, says):
    with pytest.raises(ArgumentError) as error:
        Shape.parse(text)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_tables_of_convolutions_hold_what_they_promise():
    shapes = [Shape.parse(text) for text in conv.GRID]
    assert len(set(shapes)) == 40 and [str(s) for s in shapes] == conv.GRID
    assert all(len(str(s)) <= 34 for s in shapes)
    asked = {
        "stride": lambda s: s.stride == (2, 2),
        "5x5": lambda s: s.kernel == (5, 5),
        "stem": lambda s: s.kernel == (7, 7) and s.x[1] == 3 and s.out == 64,
        "dilation": lambda s: s.dilation == (2, 2),
        "14x14": lambda s: s.x[2:] == (14, 14) and s.x[1] >= 128,
        "7x7": lambda s: s.x[2:] == (7, 7) and s.x[1] == 512,
        "one image": lambda s: s.x[0] == 1,
        "strips": lambda s: s.kernel[0] != s.kernel[1],
        "even": lambda s: s.kernel[0] % 2 == 0,
        "strided depthwise": lambda s: s.groups == s.x[1] and s.stride == (2, 2),
        "strided grouped": lambda s: 1 < s.groups < s.x[1] and s.stride == (2, 2),
    }
    assert [name for name, kind in asked.items() if not any(map(kind, shapes))] == []
    bars = {name: reach for name, (_, *reach) in conv.BARS.items()}
    assert bars["depthwise"] == [8, 4] and bars["g = 32"] == [10, 5]
    example = Shape.parse(conv.BARS["per example"][0])
    assert example.w == (64 * 32, 32, 3, 3) and example.groups == 64


def test_the_worst_of_the_grid():
    ratios = [0.9, 0.5, 2.0, 0.69, 0.7, 1.0]
    rows = [
        Row(f"1x{i}x5x5 fwd", 1.0, r, "ms", r, ">= 0.7x") for i, r in enumerate(ratios)
    ]
    found, sentence = conv.worst(rows)
    assert [row.ratio for row in found] == [0.5, 0.69, 0.7, 0.9, 1.0]
    assert sentence == "grid: 6 timings of 6 shapes, 2 below 0.7x torch"


# Both sides do the same arithmetic.


def test_the_hadamard_matrix_and_torchs_butterfly():
    h = peers.hadamard(8)
    signs = [[(-1) ** bin(i & j).count("1") for j in range(8)] for i in range(8)]
    assert h.dtype == np.float32 and np.array_equal(h, signs)
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((3, 8))
    y = peers.fwht(torch.from_numpy(x))
    np.testing.assert_allclose(y.numpy(), x @ np.array(signs), rtol=1e-12)


@pytest.mark.parametrize("way", peers.SHIFTS)
@pytest.mark.parametrize("side", [3, 5])
def test_torchs_shift_is_ours(way, side):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 11, 6, 7)).astype(np.float32)
    dy, dx = shift.displacements(11, side)
    assert len(set(zip(dy, dx))) == min(11, side**2) and min(dy) == -(side // 2)
    theirs = torch.from_numpy(x).requires_grad_()
    y = peers.SHIFTS[way](dy, dx)(theirs)
    np.testing.assert_array_equal(y.detach().numpy(), F.shift(Tensor(x), dy=dy, dx=dx))
    g = rng.standard_normal(x.shape).astype(np.float32)
    y.backward(torch.from_numpy(g))
    back = F.shift(Tensor(g), dy=[-a for a in dy], dx=[-a for a in dx])
    np.testing.assert_array_equal(theirs.grad.numpy(), back.numpy())


@pytest.mark.parametrize("suite", ["conv", "shift", "fwht"])
@pytest.mark.parametrize("backward", [False, True])
def test_a_row_computes_the_same_on_both_sides(suite, backward):
    pytest.importorskip("torch")
    here = Setting.find(1)
    work = {
        "conv": (conv, (Shape.parse("2x4x5x6,out=6,k=3,s=2,p=1,g=2"), backward)),
        "shift": (shift, ((2, 9, 4, 5), 3, backward)),
        "fwht": (fwht, ((4, 16), "fwd+bwd" if backward else "fwd")),
    }
    module, about = work[suite]
    a, b = module.ours(here, *about)(), module.theirs(here, *about)()
    a, b = (a, b) if backward else ([a], [b])
    assert len(a) == len(b) >= 1
    for x, y in zip(a, b):
        np.testing.assert_allclose(x.numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_fastfood_row_computes_the_same_on_both_sides(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(fastfood, "BATCH", 5)
    here, layer = Setting.find(1), Fastfood(16, 16, adaptive=True)
    a, b = (f(here, layer, 16)() for f in (fastfood.ours, fastfood.theirs))
    assert len(a) == len(b) == 4  # by x, s, g and b
    for x, y in zip(a, b):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-3, atol=1e-4)
    assert fastfood.moved(16) == 5 * 5 * 16


@pytest.mark.parametrize("mixture", [False, True])
def test_a_cond_conv_row_computes_the_same_on_all_sides(monkeypatch, mixture):
    pytest.importorskip("torch")
    for name, value in dict(BATCH=3, CHANNELS=4, OUT=5, SIZE=6, EXPERTS=3).items():
        monkeypatch.setattr(dynamic, name, value)
    here, layer = Setting.find(1), dynamic.layer("mixture" if mixture else "auto")
    a, b = dynamic.ours(here, layer)(), dynamic.theirs(here, layer, mixture)()
    assert len(a) == len(b) == 4  # by x, the experts, the router's weight and bias
    for x, y in zip(a, b):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-3, atol=1e-4)
    assert dynamic.needed() == 8 * 3 * (5 * 4 * 9 + 9 * 36)


def test_blocks_that_are_left_out_are_those_of_the_row(monkeypatch):
    monkeypatch.setattr(dynamic, "IMAGES", 9)
    seen, inner = [], resnet.Block.forward

    def forward(block, x):
        seen.append(x.shape[0])
        return inner(block, x)

    monkeypatch.setattr(resnet.Block, "forward", forward)
    ways = dynamic.skipping(Setting.find(1), 4)
    y = ways["some"]()
    assert sum(seen) == 4 * 9
    seen.clear()
    assert not np.allclose(ways["all"]().data, y.data)
    assert seen == [9] * 6
    pytest.importorskip("torch")
    np.testing.assert_allclose(ways["torch"]()().numpy(), y.data, rtol=1e-3, atol=1e-4)


def test_gemm_and_in_place_compute_the_transform():
    here = Setting.find(1)
    y = fwht.gemm(here, (4, 16))()
    expected = F.fwht(Tensor(here.array(4, 16)))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    x = fwht.ours(here, (4, 16), "in place")()
    assert x.shape == (4, 16) and not x.any()


STEPS = [
    ("mlp", "depthwise"),
    pytest.param("lenet", "depthwise", marks=pytest.mark.process),
    ("separable", "depthwise"),
    ("shift", "depthwise"),
    ("shift", "slices"),
]


@pytest.mark.parametrize("name, way", STEPS)
def test_a_step_is_the_same_on_both_sides(name, way, monkeypatch):
    """From the same weights: the loss, gradients, updated parameters, and the loss of
    the step after; narrow networks on small images where the network allows it."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(nets, "CHANNELS", (4, 5, 6, 6))
    rng = np.random.default_rng(1)
    side = 28 if name in ("mlp", "lenet") else 8
    x = rng.standard_normal((3, 1, side, side)).astype(np.float32)
    labels = rng.integers(0, 10, 3)
    monkeypatch.setattr(nets, "batch", lambda size: (x, labels))
    ours, theirs = nets.our_net(name), nets.torch_net(name, way)
    mine, others = list(ours.parameters()), list(theirs.parameters())
    assert [p.shape for p in mine] == [tuple(p.shape) for p in others]
    for p, q in zip(mine, others):
        q.data = torch.from_numpy(p.data.copy())
    a = nets.our_step(name, 3, net=ours)
    b = nets.torch_step(name, 3, net=theirs)
    for _ in range(2):
        assert float(a().item()) == pytest.approx(float(b().item()), rel=1e-4)
        for p, q in zip(mine, others):
            assert np.abs(p.grad.numpy()).max() > 0
            close = dict(rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **close)
            np.testing.assert_allclose(p.data, q.data.numpy(), **close)


def test_an_unknown_network():
    with pytest.raises(UnknownNameError, match="did you mean lenet"):
        nets.our_step("lenett")


def test_the_cost_of_a_step():
    """An MLP of n images: three products a layer, of which the first layer's input
    gradient is not needed."""
    flop, moved = train.cost("mlp", 2)
    assert flop == 2 * 2 * (2 * 784 * 128 + 3 * 128 * 10)
    weights = 4 * (784 * 128 + 128 + 128 * 10 + 10)
    assert moved > 5 * weights + 2 * 4 * 2 * 784


@pytest.mark.process
@pytest.mark.skipif(not memory.can_tell("cpu"), reason="needs /proc/self/clear_refs")
def test_peak_memory_grows_with_the_batch():
    here = Setting.find(1)
    small, large = (memory.peak(here, "mlp", n) for n in (16, 8192))
    assert 0 < small < large < 500


def test_a_failing_process_is_an_error():
    with pytest.raises(MinidlError, match="no such thing"):
        measure.process("raise SystemExit('no such thing')")


def test_the_device_is_checked():
    if backend.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError, match="'cuda' is not usable"):
        Setting.find(1, "cuda")
