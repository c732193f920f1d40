"""One number of threads for loops and BLAS; forks and Python threads are safe."""

import importlib
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from parallel_loop import products
from threadpoolctl import threadpool_info

import minidl
from minidl import functional as F
from minidl import kernels, nn, optim, testing, threads, warmup
from minidl.errors import ArgumentError
from minidl.kernels._dispatch import Kernel
from minidl.tensor import Tensor

ROOT = Path(__file__).resolve().parents[1]


compiled = pytest.mark.skipif(
    warmup.disabled(), reason="NUMBA_DISABLE_JIT is set: loops run in one thread"
)


def test_blas_is_told_not_to_keep_cpus_busy_before_numpy_loads_it():
    code = """
import os, sys
class Seen:
    def find_spec(self, name, *rest):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Seen())
import minidl
"""
    for own, expected in ((None, "20"), ("26", "26")):
        environment = {k: v for k, v in os.environ.items() if "OPENBLAS" not in k}
        if own is not None:
            environment["OPENBLAS_THREAD_TIMEOUT"] = own
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert done.stdout.split() == [expected], done.stderr


@pytest.fixture
def number():
    """`set_num_threads`, undone after the test."""
    before = threads.get_num_threads(), threads._number
    yield minidl.set_num_threads
    minidl.set_num_threads(before[0])
    threads.enter_loop()
    threads._number = before[1]


def two():
    if threads._pool() < 2:
        pytest.skip("Numba started one thread only: NUMBA_NUM_THREADS is 1, or one CPU")


def blas():
    return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]


def child(code, timeout=100, **env):
    """Run ``code`` in a fresh process; give what it printed."""
    env = {k: v for k, v in os.environ.items() if k != "MINIDL_NUM_THREADS"} | env
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        timeout=timeout,
    )


def test_the_number_reaches_blas_and_numba(number):
    import numba

    two()
    for n in (1, 2, 1):
        number(n)
        assert products(np.ones(3)).tolist() == [3, 3, 3]
        assert minidl.get_num_threads() == n and set(blas()) == {n}
        assert numba.get_num_threads() == n


def test_numpy_integers_are_integers(number):
    number(np.int64(1))
    assert minidl.get_num_threads() == 1


@pytest.mark.parametrize("n", [0, -1, 1.0, "2", None, True, 10**9])
def test_bad_numbers_are_refused(n, number):
    before = minidl.get_num_threads(), blas()
    with pytest.raises(ArgumentError, match=r"set_num_threads: n must be .*; got "):
        number(n)
    assert (minidl.get_num_threads(), blas()) == before


def test_more_than_numba_started_is_refused(number):
    import numba

    limit = numba.config.NUMBA_NUM_THREADS
    with pytest.raises(ArgumentError, match=f"at most {limit}.*NUMBA_NUM_THREADS={96}"):
        number(96)


@pytest.mark.process
@pytest.mark.parametrize(
    "text, said",
    [
        ("0", "MINIDL_NUM_THREADS: must be in [1, 1024]; got 0"),
        ("-1", "MINIDL_NUM_THREADS: must be an integer >= 1; got '-1'"),
        ("two", "MINIDL_NUM_THREADS: must be an integer >= 1; got 'two'"),
        ("99999", "MINIDL_NUM_THREADS: must be in [1, 1024]; got 99999"),
    ],
)
def test_bad_variables_are_named(text, said):
    result = child("import minidl", MINIDL_NUM_THREADS=text)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1 and last == f"minidl.errors.ArgumentError: {said}"


ASK = """
import sys, numpy as np, minidl
assert "numba" not in sys.modules
sys.path.insert(0, "tests")
from parallel_loop import products
from threadpoolctl import threadpool_info
if set_to:
    minidl.set_num_threads(set_to)
assert products(np.ones(3)).tolist() == [3, 3, 3]
import numba
print(minidl.get_num_threads(), numba.get_num_threads(),
      *{i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"})
"""


@pytest.mark.process
@compiled
@pytest.mark.parametrize("variable, call", [("1", 0), ("3", 0), ("", 3), ("3", 1)])
def test_any_number_works_before_numba_is_loaded(variable, call):
    result = child(f"set_to = {call}{ASK}", MINIDL_NUM_THREADS=variable)
    n = str(call or variable)
    assert result.stdout.split() == [n, n, n], result.stderr


def test_without_the_variable_nothing_is_loaded():
    result = child("import sys, minidl; print('threadpoolctl' in sys.modules)")
    assert result.stdout.split() == ["False"], result.stderr


def gradients(y, *sources):
    """The output and its gradients, as arrays; the upstream gradient is random."""
    found = [y.data.copy()]
    if y.requires_grad:
        g = np.random.default_rng(3).standard_normal(y.shape).astype(y.dtype)
        y.backward(Tensor(g))
        found += [x.grad.data for x in sources if getattr(x, "grad", None) is not None]
    return found


def draw(dtype, *shape, requires_grad=True):
    x = np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)
    return Tensor(x, requires_grad)


def work(dtype):
    """Every kernel: (what, result) of ops on their samples, and of larger arrays."""
    for name, op in testing.all_ops().items():
        for sample in testing.samples_of(op):
            xs = testing.as_tensors(sample, dtype)
            yield f"{name} {sample}", gradients(op(*xs, **sample.options), *xs)
    for x, w, options in warmup.CONVOLUTIONS:
        x, w = draw(dtype, *x), draw(dtype, *w)
        yield f"conv2d {x.shape} {w.shape}", gradients(F.conv2d(x, w, **options), x, w)
    x = draw(dtype, 3, 17, 33, 31)
    yield "shift", gradients(F.shift(x, range(-8, 9), range(17)), x)
    large = draw(dtype, 9, 33, 43, 47)  # 600,221 elements: enough to be shared out
    for f in (
        F.relu,
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 3, 2),
        lambda x: F.batch_norm(x, None, None, training=True),
        lambda x: F.shift(x, range(-16, 17), range(33)),
        lambda x: F.softmax(x, -1),
        lambda x: x.sum((0, 2, 3)),
    ):
        large.grad = None
        yield "large", gradients(f(large), large)
    yield "pool", gradients(F.max_pool2d(x, 3, 2, 1), x)
    yield "unfold", gradients(F.unfold(x, 3, padding=1), x)
    for shape in ((65, 64), (9, 8192), (1, 65536)):
        x = draw(dtype, *shape)
        yield f"fwht {shape}", gradients(F.fwht(x), x)
        yield f"fwht_ {shape}", [kernels.fwht_(x.data.copy())]
    for rule, options in warmup.OPTIMIZERS:
        p = nn.Parameter(draw(dtype, 999).data)
        p.grad = Tensor(draw(dtype, 999, requires_grad=False).data * 2)
        optimizer = rule([p], **options)
        optimizer.step()
        yield f"{rule.__name__} {options}", [p.data, *optimizer.state_arrays().values()]
    layer = nn.Linear(3, 2).to(dtype)
    layer.weight.data[...] = draw(dtype, 2, 3).data
    layer.bias.data[...] = 0
    averages = optim.EMA(layer, 0.5)
    layer.weight.data *= 3
    averages.update()
    yield "average", list(averages.state_arrays().values())


def all_kernels():
    """(name, kernel) of every `Kernel` in the room that has a CPU rung."""
    for info in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"minidl.kernels.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, Kernel) and value.cpu:
                yield f"{info.name}.{name}", value


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_do_not_depend_on_the_threads(number, dtype, monkeypatch):
    two()
    seen = set()
    call = Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda self, *a: seen.add(self) or call(self, *a)
    )
    runs = {}
    for n in (1, 2, 2, 1):
        number(n)
        runs.setdefault(n, []).append(list(work(dtype)))
    missed = [name for name, kernel in all_kernels() if kernel not in seen]
    assert not missed, "give each of these work in this test"
    for n, (first, second) in runs.items():
        for (what, ours), (_, again) in zip(first, second, strict=True):
            for a, b in zip(ours, again, strict=True):
                assert np.array_equal(a, b, equal_nan=True), f"{what}, {n} threads"
    for (what, one), (_, both) in zip(runs[1][0], runs[2][0], strict=True):
        for a, b in zip(one, both, strict=True):
            size = np.abs(np.nan_to_num(a)).max(initial=1.0)
            eps = np.finfo(dtype).eps if a.dtype.kind == "f" else 0
            np.testing.assert_allclose(a, b, 0, 64 * eps * size, err_msg=what)


@compiled
def test_every_python_thread_keeps_to_the_number(number):
    import numba

    two()
    number(1)
    found, x = [], np.random.default_rng(0).standard_normal((64, 256))
    rows = [x[0].copy(), x[1, :99].copy()]
    expected = [(products(row), kernels.fwht(x)) for row in rows]

    def run(k):
        for _ in range(50):
            result = products(rows[k]), kernels.fwht(x)
            good = all(map(np.array_equal, result, expected[k]))
            found.append((good, numba.get_num_threads()))

    for n in (1, 2):
        number(n)
        workers = [threading.Thread(target=run, args=[k]) for k in (0, 1)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        assert found == [(True, n)] * 100
        found.clear()


FORK = """
import multiprocessing, os, sys, threading
import numpy as np
import minidl
from minidl import kernels
sys.path.insert(0, "tests")
from parallel_loop import products

def loops(x):
    large = minidl.tensor(np.resize(x, 1 << 20))
    return products(x[0]), kernels.fwht(x), minidl.relu(large).numpy()

def work(n):
    minidl.set_num_threads(n)
    x = np.random.default_rng(n).standard_normal((64, 512))
    images = x.reshape(8, 4, 32, 32)
    w = np.random.default_rng(n).standard_normal((6, 4, 3, 3))
    return (*loops(x), kernels.shift(images, (1, 0, -1, 2), (0, 3, -2, 1)),
            kernels.conv2d(images, w, (1, 1), ((1, 1), (1, 1)), (1, 1), 1), x @ x.T)

def same(a, b):
    return all(map(np.array_equal, a, b))

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    expected = {n: work(n) for n in (1, 2)}
"""

POOL = """
    with context.Pool(2) as pool:
        for n, found in zip((1, 2) * 4, pool.map(work, (1, 2) * 4)):
            assert same(found, expected[n])
    assert same(work(2), expected[2])
    print("done")
"""

# Of the fork handlers only ours is tried here: to fork while another thread is inside a
# matrix product hangs NumPy by itself, in OpenBLAS.
BUSY = """
    x = np.random.default_rng(0).standard_normal((64, 512))
    right = loops(x)
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            loops(x)
    other = threading.Thread(target=busy)
    other.start()
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if same(loops(x), right) else 1)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    other.join()
    print("done")
"""


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("what", [POOL, BUSY], ids=["pool", "busy thread"])
def test_kernels_run_after_fork(what):
    result = child(FORK + what, NUMBA_NUM_THREADS="2")
    assert result.stdout == "done\n", result.stderr
