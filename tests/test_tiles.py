"""The hand-written LLVM loops against their Python, for this and other machines."""

import os

import numpy as np
import pytest

from minidl.kernels import _vectors, butterfly, moves, slides, tiles

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") == "1",
    reason="nothing is compiled: the Python functions are what runs",
)
# Bytes of a vector register, number of registers: AVX-512, AVX2, NEON, SSE.
MACHINES = [(64, 32), (32, 16), (16, 32), (16, 16)]
GUARD = 12345.0


@pytest.fixture(params=MACHINES, ids=str)
def compiled(request, monkeypatch):
    """A function that compiles an intrinsic's call for a machine, without a cache."""
    import numba
    from numba.extending import intrinsic

    monkeypatch.setattr(_vectors, "machine", lambda: request.param)

    def build(which, source):
        function = intrinsic(prefer_literal=True)(which.generate)
        space = {which.function.__name__: function}
        exec(source, space)
        return numba.njit(space["run"])

    return build


def draw(*shape, dtype):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 4, 8])
def test_tile(compiled, rows, dtype):
    run = compiled(
        tiles.tile,
        "def run(y, y_step, w, w_off, b, x, off, length):\n"
        f"    tile(y, 3, y_step, w, 2, 7, w_off, b, 1, x, 1, off, length, {rows})",
    )
    off = np.array([0, 7, 50, 3, 21] + [0] * tiles.AHEAD)
    w_off = np.array([4, 1, 0, 5, 2])
    w, b, x = (draw(n, dtype=dtype) for n in (2 + 7 * rows, 1 + rows, 500))
    for length in (1, 15, 16, 17, 47, 48, 100, 129, 200, 300):
        step = length + 5
        ours, expected = (np.full(3 + rows * step, GUARD, dtype) for _ in "ab")
        run(ours, step, w, w_off, b, x, off, length)
        tiles.tile(expected, 3, step, w, 2, 7, w_off, b, 1, x, 1, off, length, rows)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
        assert np.array_equal(ours == GUARD, expected == GUARD)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows,columns", [(8, 3), (4, 6), (2, 9), (1, 9)])
def test_dots(compiled, rows, columns, dtype):
    run = compiled(
        tiles.dots,
        "def run(dw, g, step, x, off, span):\n"
        f"    dots(dw, 2, 20, g, 5, step, x, 4, off, 1, span, {rows}, {columns})",
    )
    off = np.arange(10) * 3
    for length in (1, 16, 31, 90):
        images, step = 3, length + 5
        g_image, x_image = rows * step, length + 40
        g = draw(5 + images * g_image, dtype=dtype)
        x = draw(4 + images * x_image, dtype=dtype)
        ours, expected = (np.full(2 + rows * 20, 2.0, dtype) for _ in "ab")
        span = images, length, g_image, x_image
        run(ours, g, step, x, off, span)
        tiles.dots(expected, 2, 20, g, 5, step, x, 4, off, 1, span, rows, columns)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_move_writes_its_rows_and_nothing_else(compiled, dtype):
    run = compiled(
        moves.move,
        "def run(y, x, rows, count):\n    move(y, 2, 45, x, 1, 41, rows, count)",
    )
    x = draw(300, dtype=dtype)
    for rows in (0, 1, 5):
        for count in range(41):
            ours, expected = (np.full(240, GUARD, dtype) for _ in "ab")
            run(ours, x, rows, count)
            for r in range(rows):
                expected[2 + 45 * r :][:count] = x[1 + 41 * r :][:count]
            assert np.array_equal(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kw,stride", [(1, 1), (3, 1), (7, 1), (3, 2)])
def test_slide(compiled, kw, stride, dtype):
    run = compiled(
        slides.slide,
        "def run(y, x, w, bias, sizes):\n"
        f"    slide(y, 2, x, 3, w, 1, bias, sizes, {kw}, {stride})",
    )
    for size, out, corner in (((5, 40), (5, 40), (1, 1)), ((3, 9), (4, 17), (2, 9))):
        sizes = (*size, *out, 3, kw, *corner, 1, 2)
        x = draw(3 + size[0] * size[1], dtype=dtype)
        w = draw(1 + 3 * kw, dtype=dtype)
        ours, expected = (np.full(2 + out[0] * out[1] + 5, GUARD, dtype) for _ in "ab")
        run(ours, x, w, dtype(0.5), sizes)
        slides.slide(expected, 2, x, 3, w, 1, dtype(0.5), sizes, kw, stride)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kw,stride", [(1, 1), (3, 1), (7, 1), (3, 2)])
def test_slide_dots(compiled, kw, stride, dtype):
    run = compiled(
        slides.slide_dots,
        "def run(dw, g, x, sizes):\n"
        f"    slide_dots(dw, 1, g, 2, x, 3, sizes, {kw}, {stride})",
    )
    for size, out, corner in (((5, 40), (5, 40), (1, 1)), ((3, 9), (4, 17), (2, 9))):
        sizes = (*size, *out, 3, kw, *corner, 1, 2)
        x = draw(3 + size[0] * size[1], dtype=dtype)
        g = draw(2 + out[0] * out[1], dtype=dtype)
        ours, expected = (np.full(1 + 3 * kw * slides.LANES, 0.5, dtype) for _ in "ab")
        run(ours, g, x, sizes)
        slides.slide_dots(expected, 1, g, 2, x, 3, sizes, kw, stride)
        ours, expected = (
            a[1:].reshape(-1, slides.LANES).sum(1) for a in (ours, expected)
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moved(compiled, dtype):
    run = compiled(
        slides.moved,
        "def run(y, x, height, width, down, right):\n"
        "    moved(y, x, 2, height, width, down, right)",
    )
    for height, width in ((3, 5), (4, 16), (2, 37)):
        x = draw(2 + height * width, dtype=dtype)
        for down in (-height, -1, 0, 2, 50):
            for right in (-width, -3, 0, 1, width - 1, 60):
                ours, expected = (np.full(x.size + 3, GUARD, dtype) for _ in "ab")
                run(ours, x, height, width, down, right)
                slides.moved(expected, x, 2, height, width, down, right)
                assert np.array_equal(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thin_reads_every_other_element_and_none_beyond(compiled, dtype):
    run = compiled(
        moves.thin,
        "def run(y, x, rows, count):\n    thin(y, 2, 45, x, 1, 83, rows, count)",
    )
    for rows in (1, 3):
        for count in range(1, 41):
            end = 1 + 83 * (rows - 1) + 2 * count - 1
            x = draw(400, dtype=dtype)
            ours, expected = (np.full(150, GUARD, dtype) for _ in "ab")
            run(ours, x[:end], rows, count)
            moves.thin(expected, 2, 45, x, 1, 83, rows, count)
            assert np.array_equal(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spread_writes_every_other_element_and_no_other(compiled, dtype):
    run = compiled(
        moves.spread,
        "def run(y, x, rows, count):\n    spread(y, 2, 85, x, 1, 43, rows, count)",
    )
    for rows in (1, 3):
        for count in range(1, 41):
            end = 1 + 43 * (rows - 1) + count
            x = draw(200, dtype=dtype)
            ours, expected = (np.full(300, GUARD, dtype) for _ in "ab")
            run(ours, x[:end], rows, count)
            moves.spread(expected, 2, 85, x, 1, 43, rows, count)
            assert np.array_equal(ours, expected)


def close(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    assert np.array_equal(ours == GUARD, expected == GUARD)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_near(compiled, dtype):
    run = compiled(
        butterfly.near,
        "def run(y, x, count, n):\n    near(y, 3, x, 2, count, n)",
    )
    x = draw(900, dtype=dtype)
    for n in (1, 2, 4, 8, 16):  # at most a tile, wherever that ends
        for rows in (1, 2, 5, 27):
            ours, expected = (np.full(900, GUARD, dtype) for _ in "ab")
            run(ours, x, rows * n, n)
            butterfly.near(expected, 3, x, 2, rows * n, n)
            close(ours, expected)
    here = x.copy()
    place = compiled(
        butterfly.near, "def run(x, count, n):\n    near(x, 1, x, 1, count, n)"
    )
    place(here, 16 * 50, 16)
    butterfly.near(x, 1, x, 1, 16 * 50, 16)
    close(here, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_whole_tile(compiled, dtype):
    size = compiled(butterfly.tile, "def run(x):\n    return tile(x)")(
        np.zeros(1, dtype)
    )
    width, registers = _vectors.machine()
    assert size == width // np.dtype(dtype).itemsize * registers // 2
    run = compiled(
        butterfly.near, "def run(y, x, n):\n    near(y, 0, x, 0, y.size, n)"
    )
    x = draw(3 * size, dtype=dtype)
    ours, expected = np.empty_like(x), np.empty_like(x)
    run(ours, x, size)
    butterfly.near(expected, 0, x, 0, x.size, size)
    close(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_near_products(compiled, dtype):
    run = compiled(
        butterfly.near_products,
        "def run(y, x, a, width, count, n):\n"
        "    near_products(y, 1, x, 2, a, 3, width, count, n)",
    )
    for n, count in ((1, 5), (8, 8), (16, 48), (16, 16 * 33)):
        for width in (-3, 0, 1, count // 2, count - 1, count, count + 4):
            # Nothing may be read beyond the width: there the arrays end.
            x, a = (draw(at + max(width, 0), dtype=dtype) for at in (2, 3))
            ours, expected = (np.full(count + 4, GUARD, dtype) for _ in "ab")
            run(ours, x, a, width, count, n)
            butterfly.near_products(expected, 1, x, 2, a, 3, width, count, n)
            close(ours, expected)


@pytest.mark.parametrize("places", [np.uint16, np.uint32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gathers(compiled, dtype, places):
    run = compiled(
        butterfly.gather, "def run(y, x, p, count):\n    gather(y, x, p, 2, count)"
    )
    mixed = compiled(
        butterfly.near_gathered,
        "def run(y, x, p, a, count, n):\n"
        "    near_gathered(y, x, p, 2, a, 1, count, n)",
    )
    x = draw(700, dtype=dtype)
    for n, count in ((1, 3), (8, 8), (16, 16), (16, 640)):
        p = np.random.default_rng(1).integers(0, 700, 2 + count).astype(places)
        ours, expected = (np.full(count + 20, GUARD, dtype) for _ in "ab")
        run(ours, x, p, count)
        butterfly.gather(expected, x, p, 2, count)
        assert np.array_equal(ours, expected)
        a = draw(1 + count, dtype=dtype)
        mixed(ours, x, p, a, count, n)
        butterfly.near_gathered(expected, x, p, 2, a, 1, count, n)
        close(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("radix", [2, 4, 8, 16])
def test_far(compiled, radix, dtype):
    run = compiled(
        butterfly.far,
        f"def run(y, h, count):\n    far(y, 5, h, count, {radix})",
    )
    for h, count in ((16, 16), (64, 64), (64, 32)):
        ours = draw(10 + radix * h, dtype=dtype)
        expected = ours.copy()
        run(ours, h, count)
        butterfly.far(expected, 5, h, count, radix)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stream_products(compiled, dtype):
    run = compiled(
        butterfly.stream_products,
        "def run(y, at, x, a, count):\n    stream_products(y, at, x, a, 3, count)",
    )
    memory = np.full(400, GUARD, dtype)
    at = -memory.ctypes.data % 64 // memory.itemsize  # where a vector begins
    x, a = draw(256, dtype=dtype), draw(300, dtype=dtype)
    for count in (0, 16, 64, 256):
        memory[:] = GUARD
        expected = memory.copy()
        run(memory, at, x, a, count)
        butterfly.stream_products(expected, at, x, a, 3, count)
        assert np.array_equal(memory, expected)
