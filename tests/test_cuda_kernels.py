"""Every CUDA kernel: equal to its reference, in bounds, without races, compilable.

Without a GPU the kernels' source runs on the CPU (`cuda_shim`), where every access is
watched; with one, the same calls also run on it.
"""

import cuda_shim
import lookalike
import numpy as np
import pytest
from cuda_shim import compilers

pytest.importorskip("hypothesis", reason="drawn shapes need hypothesis: minidl[test]")

from cuda_cases import DRAWN, ELEMENTWISE, RAW, fixed  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from minidl import backend, kernels, ops, tensor  # noqa: E402
from minidl.kernels import _cuda, conv_cuda, fwht_cuda  # noqa: E402

few = settings(max_examples=60, derandomize=True, deadline=None, database=None)
TOLERANCE = {"float32": 2e-4, "float64": 1e-11}
on_cpu = pytest.mark.skipif(not cuda_shim.available(), reason=cuda_shim.MISSING)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
FIXED = fixed()
MANY = 50  # tests, from which on all kernels are compiled ahead


@pytest.fixture(scope="module", autouse=True)
def compiled(request):
    """All kernels, side by side; each at its first use where few tests were picked."""
    if cuda_shim.available() and len(request.session.items) > MANY:
        variants = [("float32", False), ("float64", False), ("float64", True)]
        cuda_shim.prepare(
            (kernel.text(*variant), name)
            for name, kernel in RAW.items()
            for variant in variants
        )


def device_result(operation, args):
    """What the CUDA rung gives for NumPy ``args``, on the host again."""
    moved = [
        backend.asarray(a, None, "cuda") if isinstance(a, np.ndarray) else a
        for a in args
    ]
    result = operation.cuda(*moved)
    assert backend.device_of(result) == "cuda"
    return result.get()


def check(operation, args, got):
    expected = operation.reference(*args)
    assert got.shape == expected.shape and got.dtype == expected.dtype
    scale = 1 + np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(got, expected, 0, TOLERANCE[str(got.dtype)] * scale)


def check_in_all_orders(operation, args):
    """Equal to the reference, and the same bits in whatever order threads run."""
    results = []
    with lookalike.installed():
        for name in cuda_shim.ORDERS:
            with cuda_shim.order(name):
                results.append(device_result(operation, args))
        waits = [w for w in lookalike.syncs if not w.startswith("get")]
    assert waits == []
    check(operation, args, results[0])
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def cast(args, dtype):
    return [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in args]


@on_cpu
@pytest.mark.parametrize("family", DRAWN)
@few
@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_drawn_calls_equal_the_reference_in_every_order(family, data, dtype):
    check_in_all_orders(*data.draw(DRAWN[family](dtype)))


@on_cpu
@DTYPES
@pytest.mark.parametrize("name", FIXED)
def test_fixed_calls_equal_the_reference_in_every_order(name, dtype):
    operation, args = FIXED[name]
    check_in_all_orders(operation, cast(args, dtype))


@on_cpu
@pytest.mark.parametrize("name", FIXED)
def test_64_bit_indices_give_the_same(name, monkeypatch):
    """As for arrays beyond 2^28 elements, which no test can afford."""
    monkeypatch.setattr(_cuda, "NARROW", 0)
    operation, args = FIXED[name]
    with lookalike.installed():
        check(operation, args, device_result(operation, args))


@on_cpu
@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_moves_of_integers(dtype):
    image = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7).astype(dtype)
    for operation, args in (
        (kernels.shift, (image, (1, 0, -2), (0, 3, -1))),
        (kernels.unfold, (image, (2, 3), (1, 2), ((0, 1), (1, 1)), (1, 1))),
        (
            kernels.max_pool2d_gather,
            (image, image, (2, 3), (2, 2), (2, 2), (0, 0), (1, 1)),
        ),
    ):
        with lookalike.installed():
            got = device_result(operation, args)
        expected = operation.reference(*args)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


@on_cpu
def test_every_kernel_is_exercised_by_the_fixed_calls():
    cuda_shim.launched.clear()
    with lookalike.installed():
        for operation, args in FIXED.values():
            device_result(operation, args)
    assert cuda_shim.launched.keys() == RAW.keys()


@on_cpu
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_bodies_run_as_cpp_and_interpreted_give_the_same(name):
    kernel, random = ELEMENTWISE[name], np.random.default_rng(3)
    source = compilers.elementwise(kernel.inputs, kernel.outputs, kernel.body, name)
    raw = cuda_shim.RawKernel(f"typedef double T; typedef int I;{source}", name)
    arrays = []
    for parameter in f"{kernel.inputs}, {kernel.outputs}".split(", "):
        kind = parameter.rsplit(" ", 1)[0]
        drawn = random.random(300) + 0.1
        arrays.append(drawn > 0.6 if kind == "bool" else drawn)
    count = len(kernel.outputs.split(", "))
    with lookalike.installed():
        moved = [backend.asarray(a, None, "cuda") for a in arrays]
        kernel(*moved)
        expected = [a.get() for a in moved[-count:]]
    raw((3,), (128,), (*arrays, np.int32(300)))
    for got, wanted in zip(arrays[-count:], expected, strict=True):
        np.testing.assert_allclose(got, wanted, 1e-13)


@on_cpu
@DTYPES
@pytest.mark.parametrize("order", cuda_shim.ORDERS)
@pytest.mark.parametrize("shape", [(5, 4), (3, 256), (1, 1 << 12), (1, 1 << 14)])
def test_fwht_in_place_reads_nothing_that_was_overwritten(shape, order, dtype):
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    with lookalike.installed(), cuda_shim.order(order):
        y = backend.asarray(x, None, "cuda")
        fwht_cuda.transform(y, y)
        check(kernels.fwht, (x,), y.get())


@on_cpu
def test_a_convolution_whose_tile_does_not_fit_takes_columns():
    assert conv_cuda._tile((3, 1), (5, 5), (1, 1), (40, 40), (1, 1), 1, 8) is None
    operation, args = FIXED["conv tile beyond shared memory"]
    cuda_shim.launched.clear()
    with lookalike.installed():
        device_result(operation, args)
    assert cuda_shim.launched.keys() == {"minidl_unfold"}


@on_cpu
@pytest.mark.parametrize("step", ["conv", "input", "weight"])
def test_columns_of_a_few_images_at_a_time_give_the_same(step, monkeypatch):
    monkeypatch.setattr(conv_cuda, "COLUMNS", 1)
    operation, args = FIXED[f"{step} dense"]
    cuda_shim.launched.clear()
    with lookalike.installed():
        check(operation, args, device_result(operation, args))
    assert sum(cuda_shim.launched.values()) == 2  # one for each image


def test_without_a_compiler_what_needs_it_is_skipped(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with lookalike.installed() as cupy:
        with pytest.raises(pytest.skip.Exception, match="g.., which is not installed"):
            kernels.shift(cupy.asarray(np.ones((1, 1, 2, 2))), (1,), (1,))


def test_two_kernels_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two CUDA kernels are called 'minidl_shift'"):
        _cuda.Raw("", "minidl_shift")


@on_cpu
def test_the_width_of_indices_follows_the_largest_argument(monkeypatch):
    built = []

    def build(_cupy, _kind, text, _name):
        return lambda _grid, _block, args, shared_mem: built.append(
            (text.split(";")[1], type(args[-1]))
        )

    with lookalike.installed() as cupy, monkeypatch.context() as patch:
        patch.setattr(_cuda, "build", build)
        x = cupy.empty(8)
        for size in (7, _cuda.NARROW, _cuda.NARROW + 1, -_cuda.NARROW - 1):
            RAW["minidl_shift"]("float32", (1,), (32,), (x, size))
    narrow, wide = (" typedef int I", np.int32), (" typedef long long I", np.int64)
    assert built == [narrow, narrow, wide, wide]


def test_fwht_plans_cover_all_levels_and_fit_shared_memory():
    for itemsize in (4, 8):
        assert fwht_cuda.longest(itemsize) * itemsize <= _cuda.SHARED
        for bits in range(31):
            first, more = fwht_cuda.plan(bits, itemsize)
            assert first + sum(more) == bits and all(1 <= m <= 8 for m in more)
            assert 1 << first <= fwht_cuda.longest(itemsize)
            # Columns of a pass lie side by side, 32 of them at least.
            assert not more or first >= 9
            assert all(m <= 4 or m == 8 for m in more)
    assert fwht_cuda.plan(20, 4) == (12, [8])


def test_convolutions_go_where_the_table_says():
    assert conv_cuda.direct(64, 1, 1) and conv_cuda.direct(8, 8, 8)
    assert not conv_cuda.direct(1, 3, 8) and not conv_cuda.direct(2, 32, 32)
    nothing = ((0, 0), (0, 0))
    assert conv_cuda.pointwise((1, 1), (1, 1), nothing)
    assert not conv_cuda.pointwise((1, 1), (2, 1), nothing)
    assert not conv_cuda.pointwise((1, 1), (1, 1), ((0, 1), (0, 0)))


@on_cpu
def test_a_second_convolution_uploads_and_builds_nothing():
    with lookalike.installed():
        x = tensor(np.ones((1, 2, 3, 3)), device="cuda")
        ops.shift(x, dy=(0, 1), dx=(1, 0))
        before = _cuda._upload.cache_info().misses, _cuda.build.cache_info().misses
        ops.shift(x, dy=(0, 1), dx=(1, 0))
        after = _cuda._upload.cache_info().misses, _cuda.build.cache_info().misses
        assert before == after and lookalike.syncs == []


VARIANTS = [("float32", False), ("float64", True)]


def sources(dtype, wide):
    """All kernels, the elementwise ones as kernels over flat arrays."""
    texts = [kernel.text(dtype, wide) for kernel in RAW.values()]
    for k in ELEMENTWISE.values():
        body = compilers.elementwise(k.inputs, k.outputs, k.body, k.name)
        texts.append(RAW["minidl_shift"].text(dtype, wide).split("\n")[0] + body)
    return compilers.together(texts)


@pytest.mark.parametrize("dtype, wide", VARIANTS)
def test_nvcc_compiles_every_kernel_without_a_warning(dtype, wide, tmp_path):
    if not (compiler := compilers.nvcc()):
        pytest.skip(compilers.MISSING)
    report = compilers.compile_nvcc(compiler, sources(dtype, wide), tmp_path)
    for name in (*RAW, *ELEMENTWISE):
        assert name in report
    assert report.count("Compiling entry function") == len(RAW) + len(ELEMENTWISE)
    broken = RAW["minidl_shift"].text(dtype, wide).replace("I top", "I idle, top", 1)
    with pytest.raises(SyntaxError, match="idle"):
        compilers.compile_nvcc(compiler, broken, tmp_path)


@pytest.mark.parametrize("dtype, wide", VARIANTS)
def test_nvrtc_compiles_every_kernel(dtype, wide):
    if not (library := compilers.nvrtc()):
        pytest.skip(compilers.MISSING)
    assert compilers.compile_nvrtc(library, sources(dtype, wide)).strip("\0\n") == ""
    with pytest.raises(SyntaxError, match="undefined"):
        compilers.compile_nvrtc(library, "__global__ void f() { undefined(); }")


@pytest.mark.gpu
@DTYPES
@pytest.mark.parametrize("name", FIXED)
def test_fixed_calls_on_the_device(name, dtype):
    operation, args = FIXED[name]
    args = cast(args, dtype)
    check(operation, args, device_result(operation, args))


@pytest.mark.gpu
@pytest.mark.parametrize("family", DRAWN)
@settings(few, max_examples=200)
@given(st.data(), st.sampled_from(["float32", "float64"]))
def test_drawn_calls_on_the_device(family, data, dtype):
    operation, args = data.draw(DRAWN[family](dtype))
    check(operation, args, device_result(operation, args))


@pytest.mark.gpu
@pytest.mark.parametrize("name", FIXED)
def test_64_bit_indices_on_the_device(name, monkeypatch):
    monkeypatch.setattr(_cuda, "NARROW", 0)
    operation, args = FIXED[name]
    check(operation, args, device_result(operation, args))
