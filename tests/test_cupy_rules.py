"""What CuPy allows: the look-alike imitates it, and minidl uses no name beyond it."""

import ast
import importlib.util
import inspect
import sys
from pathlib import Path

import elementwise_c
import lookalike
import numpy as np
import pytest

import minidl
from minidl import backend, tensor
from minidl import functional as F
from minidl.kernels import _cuda

SOURCE = Path(minidl.__file__).parent


@pytest.fixture
def fake():
    """The look-alike in the place of `cupy`."""
    with lookalike.installed() as module:
        yield module


def test_the_lookalike_leaves_no_trace():
    before = sys.modules.get("cupy")
    kernels = _cuda.build.cache_info().currsize
    with lookalike.installed():
        assert F.erf(tensor([0.5], device="cuda")).device == "cuda"
        assert sys.modules["cupy"] is not before
    assert sys.modules.get("cupy") is before
    assert _cuda.build.cache_info().currsize == min(kernels, 0)
    assert not backend.is_array(lookalike.ndarray(np.ones(1)))


def test_the_lookalike_refuses_what_cupy_refuses(fake):
    x, host = fake.asarray([1.0, 2.0]), np.ones(2)
    refused = (
        lambda: np.asarray(x), lambda: x + host, lambda: host + x, lambda: x[host > 0],
        lambda: fake.add(x, [1.0, 2.0]), lambda: fake.concatenate([x, host]),
        lambda: fake.sum(x, where=x > 0), lambda: fake.max(x, initial=0.0),
        lambda: fake.zeros(2, device="cpu"), lambda: x.sum(where=x > 1),
        lambda: fake.add.at(fake.zeros(2, "int64"), fake.asarray([0]), 1),
        lambda: x.__setitem__(0, host),
        lambda: fake.RawKernel("", "f")((1,), (1,), (host,)),
    )
    for attempt in refused:
        with pytest.raises(TypeError, match="Implicit|Unsupp|keyword|supports|value"):
            attempt()
    for name in ("errstate", "geomspace", "nditer", "vecdot", "no_such_name"):
        with pytest.raises(AttributeError, match=name):
            getattr(fake, name)
    with pytest.raises(AttributeError):
        fake.linalg.vector_norm


def test_the_lookalike_gives_arrays_and_counts_waits(fake):
    x = fake.asarray([1.0, -2.0])
    results = (x.sum(), x[0], fake.max(x), x.mean() * 2, fake.count_nonzero(x), x @ x)
    assert all(isinstance(y, fake.ndarray) and y.shape == () for y in results)
    assert lookalike.syncs == []
    waits = (x.get, x[0].item, x.tolist, x.nonzero, lambda: float(x[0]),
             lambda: x[x > 0], lambda: bool(x[0]), lambda: int(x[0]),
             fake.cuda.Stream.null.synchronize)
    for i, wait in enumerate(waits):
        wait()
        assert len(lookalike.syncs) == i + 1 and __file__ in lookalike.syncs[-1]


CLAMP = """
    T z = max(x, T(low));  // what is too small is raised
    if (x > T(0) || low > 5) { y = z * 2; z -= 1; } else if (x == T(0)) y = -1.0f;
    else y = !(z > 0) && x < 1 ? z : 3;
    count += z > 0;
"""


def test_bodies_of_elementwise_kernels_are_interpreted(fake):
    x, count = fake.asarray([1.0, 0.0, -2.0]), fake.asarray(np.array([7, 7, 7]))
    kernel = fake.ElementwiseKernel("T x, T low", "T y, int64 count", CLAMP, "clamp")
    y = fake.zeros(3)
    kernel(x, -1.0, y, count)
    assert y.tolist() == [2.0, -1.0, -1.0] and count.tolist() == [7, 7, 7]
    assert (y.dtype, count.dtype) == ("float64", "int64")
    kernel(x, 0.5, y, count)
    assert y.tolist() == [2.0, -1.0, 3.0] and count.tolist() == [7, 8, 8]
    swap = fake.ElementwiseKernel("T x", "T y, T z", "z = x; y += z;", "shared")
    swap(x, y, y)  # the two outputs are the same memory
    assert y.tolist() == [2.0, 0.0, -4.0]
    single = fake.ElementwiseKernel("T x", "float32 y", "y = x > 0 ? x : 0", "positive")
    assert single(x).tolist() == [1.0, 0.0, 0.0] and single(x).dtype == "float32"
    beyond = ("for (;;) y = x", "y = unknown(x)", "U z = x; y = z", "if (x) { y = x;")
    for body in beyond:
        with pytest.raises(NotImplementedError):
            fake.ElementwiseKernel("T x", "T y", body, "beyond")(x)
    assert elementwise_c.translate("a ? b : c ? d : e") == "where(a, b, where(c, d, e))"


def library_calls(tree):
    """(line, dotted name, keywords) of what a file reads off ``xp`` or ``cupy``."""
    keywords = {id(node.func): [k.arg for k in node.keywords if k.arg]
                for node in ast.walk(tree) if isinstance(node, ast.Call)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    for node in attributes:
        if id(node) in inner:
            continue
        names, root = [], node
        while isinstance(root, ast.Attribute):
            names, root = [root.attr, *names], root.value
        called = root.func if isinstance(root, ast.Call) else None
        maker = getattr(called, "attr", getattr(called, "id", None))
        if getattr(root, "id", None) in ("xp", "cupy") or maker == "xp_of":
            yield node.lineno, ".".join(names), keywords.get(id(node), [])


def library():
    """The real CuPy where it is installed, else the look-alike."""
    if importlib.util.find_spec("cupy") is None:
        return lookalike.make()
    import cupy

    return cupy


@pytest.mark.filterwarnings("ignore")
def test_every_array_function_that_minidl_uses_exists_in_cupy():
    cupy, used = library(), 0
    for path in sorted(SOURCE.rglob("*.py")):
        for line, dotted, keywords in library_calls(ast.parse(path.read_text())):
            where = f"{path.relative_to(SOURCE)}:{line} uses xp.{dotted}"
            value = cupy
            for name in dotted.split("."):
                assert hasattr(value, name), f"{where}, which CuPy lacks"
                value = getattr(value, name)
            refused = lookalike.KEYWORDS & set(keywords)
            assert not refused, f"{where} with {refused}, which CuPy lacks"
            try:
                parameters = inspect.signature(value).parameters.values()
            except (TypeError, ValueError):  # ufuncs and classes have no signature
                parameters = None
            if parameters and all(p.kind is not p.VAR_KEYWORD for p in parameters):
                unknown = set(keywords) - {p.name for p in parameters}
                assert not unknown, f"{where} with {unknown}, which CuPy lacks"
            used += 1
    assert used > 20
