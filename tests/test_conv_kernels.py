"""Convolution kernels: every algorithm, any geometry, bands, batches and threads."""

import time
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import functional as F
from minidl import threads
from minidl.kernels import _dispatch, conv, correlate, depthwise, flat
from minidl.kernels._dispatch import jit
from minidl.kernels._pool import in_parts
from minidl.tensor import Tensor

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}
small = st.integers(1, 3)


@st.composite
def cases(draw):
    """Shapes and options of a convolution whose kernel fits the padded image."""
    groups, inputs, outputs = draw(small), draw(small), draw(st.integers(1, 17))
    kernel, stride, dilation = (
        (draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (5, 3, 3)
    )
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in "hw")
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - sum(p)), d * (k - 1) + 9))
        for k, p, d in zip(kernel, padding, dilation)
    )
    x = (draw(st.integers(0, 5)), groups * inputs, *size)
    w = (groups * outputs, inputs, *kernel)
    return x, w, (stride, padding, dilation, groups)


def arrays(x_shape, w_shape, geometry, dtype, seed):
    """x, w, bias, and g of the output's shape; all but one not contiguous."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x = draw(*x_shape[::-1]).transpose()
    w = draw(*w_shape)[:, :, ::-1]
    out = conv.output_size(x_shape[2:], w_shape[2:], *geometry[:3])
    g = draw(x_shape[0], 2 * w_shape[0], *out)[:, ::2, :, ::-1]
    return x, w, draw(w_shape[0]), g


def check(algorithm, x, w, bias, g, geometry):
    """The three steps of an algorithm against their references."""
    forward, by_input, by_weight = conv.ALGORITHMS[algorithm]
    size, kernel = x.shape[2:], w.shape[2:]
    pairs = [
        (forward(x, w, *geometry), conv.reference(x, w, *geometry)),
        (forward(x, w, *geometry, bias), conv.reference(x, w, *geometry, bias)),
        (
            by_input(g, w, size, *geometry),
            conv.input_reference(g, w, size, *geometry),
        ),
        (
            by_weight(x, g, kernel, *geometry),
            conv.weight_reference(x, g, kernel, *geometry),
        ),
    ]
    for ours, expected in pairs:
        assert ours.shape == expected.shape and ours.dtype == expected.dtype
        scale = np.abs(expected).max(initial=1)
        error = np.abs(ours - expected).max(initial=0) / scale
        assert error <= TOLERANCE[x.dtype.type], (algorithm, x.shape, w.shape, geometry)


@pytest.mark.parametrize("algorithm", ["tiles", "columns", "outer"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=cases(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_algorithm_agrees_with_the_reference(algorithm, dtype, case, seed):
    check(algorithm, *arrays(*case, dtype, seed), case[2])


@st.composite
def depthwise_cases(draw):
    """One channel a group, stride 1, and one of the widths that are unrolled."""
    channels, multiplier = draw(small), draw(small)
    kernel = draw(small), draw(st.sampled_from(depthwise.WIDTHS))
    dilation = draw(small), draw(small)
    padding = tuple((draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in "hw")
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - sum(p)), d * (k - 1) + 40))
        for k, p, d in zip(kernel, padding, dilation)
    )
    x, w = (draw(small), channels, *size), (channels * multiplier, 1, *kernel)
    stride = (2, 2) if kernel[1] == 3 and draw(st.booleans()) else (1, 1)
    return x, w, (stride, padding, dilation, channels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=depthwise_cases(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_planes_agree_with_the_reference(dtype, case, seed):
    x, w, bias, g = arrays(*case, dtype, seed)
    geometry, size = case[2], x.shape[2:]
    pairs = [(conv.reference, depthwise.forward, (x, w, *geometry, bias))]
    step = conv.weight_reference, depthwise.weight_gradient
    pairs.append((*step, (x, g, w.shape[2:], *geometry)))
    if depthwise.fits("input", w.shape[2:], geometry[0], len(w) // x.shape[1]):
        step = conv.input_reference, depthwise.input_gradient
        pairs.append((*step, (g, w, size, *geometry)))
    for reference, ours, arguments in pairs:
        expected = reference(*arguments)
        scale = np.abs(expected).max(initial=1)
        error = np.abs(ours(*arguments) - expected).max(initial=0) / scale
        assert error <= TOLERANCE[dtype], case


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    n=st.integers(0, 4),
    groups=small,
    channels=st.tuples(st.integers(1, 60), st.integers(1, 20)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_pixels_agree_with_the_reference(dtype, n, groups, channels, size, seed):
    inputs, outputs = channels
    geometry = ((1, 1), ((0, 0), (0, 0)), (1, 1), groups)
    case = (n, groups * inputs, *size), (groups * outputs, inputs, 1, 1)
    check("pixels", *arrays(*case, geometry, dtype, seed), geometry)


@pytest.mark.parametrize("algorithm", ["tiles", "outer"])
@pytest.mark.parametrize("scratch", [1, 300, 1 << 20])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_bands_and_batches_of_every_size_agree(monkeypatch, algorithm, scratch, stride):
    """However little is held at once: bands of one row, or several images together."""
    monkeypatch.setattr(flat, "SCRATCH", scratch)
    geometry = (stride, ((1, 2), (0, 1)), (1, 2), 2)
    case = (7, 6, 11, 9), (10, 3, 3, 3)
    check(algorithm, *arrays(*case, geometry, np.float64, 0), geometry)


def test_unfolding_image_by_image_agrees(monkeypatch):
    monkeypatch.setattr(conv, "COLUMNS", 1)
    geometry = ((1, 2), ((1, 0), (2, 1)), (1, 1), 3)
    case = (4, 6, 8, 7), (9, 2, 3, 2)
    check("columns", *arrays(*case, geometry, np.float64, 0), geometry)


@pytest.mark.parametrize("algorithm", ["tiles", "outer"])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_number_of_threads_changes_rounding_only(algorithm, groups, count):
    """Also where a group is shared by threads, and where each has groups of its own."""
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), groups)
    shapes = (6, 2 * groups, 12, 13), (8 * groups, 2, 3, 3)
    x, w, bias, g = arrays(*shapes, geometry, np.float32, 0)
    by_weight = conv.ALGORITHMS[algorithm][2]
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(count)
        check(algorithm, x, w, bias, g, geometry)
        once, again = (by_weight(x, g, (3, 3), *geometry) for _ in range(2))
        assert np.array_equal(once, again)
    finally:
        threads.set_num_threads(before)


def test_own_weights_for_every_example():
    """Per-sample convolution is a grouped one, with the batch in the channels."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 3, 6, 7)), rng.standard_normal((5, 4, 3, 3, 3))
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    folded = x.reshape(1, 15, 6, 7), w.reshape(20, 3, 3, 3)
    y = conv.conv2d(*folded, *geometry, 5).reshape(5, 4, 6, 7)
    for n in range(5):
        alone = conv.reference(x[n : n + 1], w[n], *geometry, 1)[0]
        np.testing.assert_allclose(y[n], alone, rtol=1e-12, atol=1e-12)


def test_depthwise_steps_that_planes_cannot_do_fall_to_tiles():
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), 16)
    x = (8, 16, 9, 9)
    taken = {
        (step, outputs): conv.choose(step, x, (outputs, 1, 3, 3), *geometry).algorithm
        for step in ("forward", "input", "weight")
        for outputs in (16, 32)
    }
    assert {case for case, name in taken.items() if name == "tiles"} == {("input", 32)}


def test_infinite_pixels_stay_in_their_windows():
    """Rows lie end to end in memory; none may leak into another's windows."""
    x = np.zeros((2, 1, 5, 6), np.float32)
    x[0, 0, 2, 0] = x[1, 0, 4, 5] = np.inf
    w = np.ones((1, 1, 3, 3), np.float32)
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    y = correlate.forward(x, w, *geometry)
    assert np.array_equal(np.isinf(y), np.isinf(conv.reference(x, w, *geometry)))


def test_the_table_is_complete_and_every_row_is_taken():
    taken = set()
    for channels in (1, 64, 512):
        for size in (4, 7, 32):
            for step in ("forward", "input", "weight"):
                x, w = (8, channels, size, size), (channels, channels, 3, 3)
                geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
                taken.add(conv.choose(step, x, w, *geometry))
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), 16)
    taken.add(conv.choose("forward", (8, 16, 9, 9), (16, 1, 3, 3), *geometry))
    for kernel, size in ((1, 7), (1, 14), (1, 32)):
        x, w = (8, 512, size, size), (512, 512, kernel, kernel)
        geometry = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
        taken |= {conv.choose(s, x, w, *geometry) for s in ("forward", "weight")}
    assert taken == set(conv.CHOICES)
    assert {choice.algorithm for choice in taken} == set(conv.ALGORITHMS)
    assert all(choice.when and choice.reason for choice in taken)


@pytest.mark.parametrize(
    "kernel,dilation", [((1, 5), 2**31 - 1), ((1, 7), 1431655766), ((3, 3), 2**31 - 1)]
)
def test_taps_astronomically_far_away_read_zeros(kernel, dilation):
    """Their offsets need more than 32 bits; only the middle tap meets the image."""
    x, w = np.ones((1, 2, 1, 8), np.float32), np.ones((2, 1, *kernel), np.float32)
    w[:, :, kernel[0] // 2, kernel[1] // 2] = 3
    y = F.conv2d(Tensor(x), Tensor(w), padding="same", dilation=(1, dilation), groups=2)
    assert (y.data == 3).all()


def test_scratch_that_no_machine_has_is_refused():
    x, w = np.ones((1, 4096, 1, 1), np.float32), np.ones((1, 4096, 4, 2), np.float32)
    dilation = 2**31 - 1, 2**20 - 1
    padding = (3 * dilation[0], 0), (dilation[1], 0)
    with pytest.raises(MemoryError, match="conv2d: a kernel that reaches over"):
        correlate.forward(x, w, (1, 1), padding, dilation, 1)


def test_gradients_of_images_without_pixels():
    """Height 0, held open by padding: the gradients are empty or zero, no error."""
    x = Tensor(np.ones((1, 2, 0, 5), np.float32), requires_grad=True)
    for kernel, groups in ((1, 2), (3, 2), (3, 1)):
        shape = (2, 2 // groups, 1, kernel)
        w = Tensor(np.ones(shape, np.float32), requires_grad=True)
        F.conv2d(x, w, padding=1, groups=groups).sum().backward()
        assert x.grad.shape == x.shape and not w.grad.data.any()


def test_all_parts_have_ended_when_one_fails():
    ended = []

    @jit(nogil=True)
    def loop(part, parts):
        if part == 1:
            raise ValueError("part 1")
        if parts:
            time.sleep(0.1 * part)
            ended.append(part)

    loop._compiled = loop.function  # plain Python: the point is who waits for whom
    _dispatch.LOOPS.remove(loop)
    with pytest.raises(ValueError, match="part 1"):
        in_parts(loop, 4)
    assert sorted(ended) == [0, 2, 3]


@pytest.mark.parametrize(
    "parts, groups, copies",
    [(1, 3, 1), (2, 4, 1), (2, 3, 2), (4, 2, 4), (3, 1, 3), (0, 5, 1)],
)
def test_threads_that_share_a_group_have_sums_of_their_own(parts, groups, copies):
    """Two that add to the same sums would lose some, once in many runs."""
    layout = namedtuple("Layout", "groups outputs")(groups, 5)
    sums = flat.sums_for(parts, layout, 7, np.float32)
    assert sums.shape == (copies, 5 * groups, 7) and not sums.any()
