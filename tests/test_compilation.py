"""Loops are compiled once on a machine, lazily; nothing on disk can break them."""

import io
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from minidl import console, warmup
from minidl.kernels import _compile, _dispatch
from minidl.kernels._dispatch import Jit, intrinsic, jit

ROOT = Path(__file__).resolve().parents[1]
compiling = pytest.mark.skipif(
    warmup.disabled(), reason="NUMBA_DISABLE_JIT is set: nothing is compiled"
)
loops_of_minidl = list(_dispatch.LOOPS)


def _fused(typingctx, a, b, c):
    """LLVM's fused multiply-add: one rounding instead of two."""
    from numba.core import types

    if not (isinstance(a, types.Float) and a == b == c):
        return None
    return a(a, a, a), lambda context, builder, signature, args: builder.fma(*args)


@intrinsic(_fused)
def fused(a, b, c):
    return a * b + c


@jit()
def _square(x):
    return fused(x, x, x)


@jit()
def fused_loop(x, y, out):
    for i in range(x.size):
        out[i] = fused(x[i], x[i], y[i]) + 0 * _square(x[i])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_intrinsic_is_its_llvm_code_in_loops_and_python_elsewhere(dtype):
    x = np.random.default_rng(0).uniform(1, 2, 65).astype(dtype)
    y = -(x * x)
    out = np.empty_like(x)
    fused_loop(x, y, out)
    if warmup.disabled():
        assert not out.any()  # two roundings: x * x is what it was
    else:
        exact = [
            float(Fraction(float(a)) ** 2 + Fraction(float(b))) for a, b in zip(x, y)
        ]
        assert out.any() and np.array_equal(out, np.array(exact, dtype))
    assert fused(2.0, 3.0, 4.0) == 10.0


def test_an_intrinsic_of_other_types_is_refused():
    if not warmup.disabled():
        from numba.core.errors import TypingError

        with pytest.raises(TypingError):
            fused_loop(*np.ones((3, 4), np.int64))


def test_loops_are_listed_and_know_their_helpers():
    assert fused_loop in _dispatch.LOOPS and _square in _dispatch.LOOPS
    assert set(fused_loop.helpers()) == {"fused", "_square"}
    names = {loop.function.__module__ for loop in loops_of_minidl}
    assert {"minidl.kernels.shift", "minidl.kernels.optim"} <= names


def test_sources_are_those_of_all_helpers(tmp_path):
    other = tmp_path / "other.py"
    other.write_text(
        "from minidl.kernels._dispatch import jit\n"
        "@jit()\ndef helper(x):\n    return 2 * x\n"
    )
    space = {"__name__": "other"}
    exec(compile(other.read_text(), str(other), "exec"), space)
    code = compile("def outer(x):\n    return helper(x) + 1", __file__, "exec")
    exec(code, space)
    outer = Jit(space["outer"])
    del _dispatch.LOOPS[-2:]
    assert outer.sources() == {str(other), __file__}


def total(x):
    out = 0.0
    for i in range(x.size):
        out += x[i]
    return out


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A function that gives `total` as a new process would meet it: (result, hits,
    misses); the folder of its cache; all in place of the real ones."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(_dispatch, "LOOPS", [])
    monkeypatch.setattr(_compile, "notice", _compile.Notice())
    _compile.notice.said = False
    x = np.arange(5.0)

    def run(dtype="float64"):
        loop = Jit(total)
        assert loop(x.astype(dtype)) == 10.0
        stats = loop.compiled.stats
        return stats.cache_hits.total(), stats.cache_misses.total()

    run.files = lambda: sorted((tmp_path / "cache").rglob("*.nbc"))
    return run


@compiling
def test_what_was_compiled_is_loaded(fresh):
    assert fresh() == (0, 1) and fresh() == (1, 0)
    assert fresh("float32") == (0, 1) and fresh("float32") == fresh() == (1, 0)
    assert len(fresh.files()) == 2


def damage():
    yield "empty", lambda data: b""
    yield "short", lambda data: data[:40]
    yield "half", lambda data: data[: len(data) // 2]
    yield "last byte missing", lambda data: data[:-1]
    yield "other bytes", lambda data: bytes(len(data))
    yield "a flipped bit", lambda data: data[:-99] + bytes([data[-99] ^ 8]) + data[-98:]
    yield "more bytes", lambda data: data + b"x"


@compiling
@pytest.mark.parametrize(
    "change", [c for _, c in damage()], ids=[n for n, _ in damage()]
)
def test_a_damaged_cache_is_compiled_anew(fresh, change):
    fresh()
    (path,) = fresh.files()
    path.write_bytes(change(path.read_bytes()))
    assert fresh() == (0, 1) and fresh() == (1, 0)


@compiling
def test_code_for_other_types_is_never_taken(fresh):
    fresh("float32")
    (single,) = fresh.files()
    fresh("float64")
    (double,) = set(fresh.files()) - {single}
    double.write_bytes(single.read_bytes())
    assert fresh("float64") == (0, 1)


@compiling
def test_a_folder_in_the_place_of_a_file_is_survived(fresh):
    fresh()
    (path,) = fresh.files()
    path.unlink()
    path.mkdir()
    assert fresh() == fresh() == (0, 1)


@compiling
def test_a_cache_folder_that_goes_away_is_survived(fresh, tmp_path):
    import shutil

    fresh()
    loop = Jit(total)
    assert loop(np.ones(3)) == 3.0
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("now a file")
    assert loop(np.ones(3, "float32")) == 3.0


@compiling
def test_long_compiling_is_said_once_and_leaves_no_thread(fresh, capsys, monkeypatch):
    monkeypatch.setattr(_compile, "PATIENCE", 0.0)
    before = threading.active_count()
    fresh()
    fresh("float32")
    said = capsys.readouterr()
    assert said.err == (
        "minidl: compiling kernels (test_compilation, ...): once on this machine; "
        "MINIDL_QUIET=1 hides this\n"
    )
    assert said.out == "" and threading.active_count() == before


@compiling
def test_nothing_is_said_of_what_is_quick_cached_or_silenced(
    fresh, capsys, monkeypatch
):
    monkeypatch.setattr(_compile, "PATIENCE", 1e6)
    fresh()
    monkeypatch.setattr(_compile, "PATIENCE", 0.0)
    fresh()
    monkeypatch.setenv("MINIDL_QUIET", "1")
    monkeypatch.setattr(_compile, "notice", _compile.Notice())
    fresh("float32")
    assert capsys.readouterr().err == "" and _compile.notice.depth == 0


@compiling
@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_missing_stderr_is_no_fault(fresh, monkeypatch, stream):
    if stream:
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(_compile, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", stream)
    assert fresh() == (0, 1) and _compile.notice.said


@compiling
def test_the_word_stands_above_a_progress_bar(fresh, monkeypatch):
    from rich.console import Console
    from rich.progress import Progress

    monkeypatch.setattr(_compile, "PATIENCE", 0.0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with Progress(console=console) as bar:
        task = bar.add_task("training", total=2)
        fresh()
        bar.advance(task, 2)
    shown = screen.getvalue()
    assert "minidl: compiling kernels (test_compilation, ...)" in shown
    last = shown.rstrip("\n\x1b[?25h").splitlines()[-1]
    assert "training" in last and "100%" in last and "minidl" not in last


def child(code, cwd=ROOT, **env):
    """A fresh process that runs ``code``."""
    env = {k: v for k, v in os.environ.items() if k != "MINIDL_QUIET"} | env
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def output(process, text=None):
    out, err = process.communicate(text, timeout=100)
    assert process.returncode == 0, err
    return out.strip(), err


LOOPS = """
import numpy as np
from math import erf
from minidl.kernels import erf as kernel, _dispatch
from minidl.kernels.optim import average
x = np.linspace(-2, 2, 9)
print("ready", flush=True)
input()
for dtype in order:
    found = kernel(x.astype(dtype))
    assert np.allclose(found, [erf(v) for v in x], 0, 1e-6), found
    p = x.astype(dtype)
    average(p, 3 * p, 0.5)
    assert np.allclose(p, 2 * x), p
print(*_dispatch.compilations())
"""


@compiling
@pytest.mark.process
def test_processes_that_start_at_once_share_a_cache(tmp_path):
    cache = dict(NUMBA_CACHE_DIR=str(tmp_path))
    orders = [("float32", "float64"), ("float64", "float32"), ("float32", "float64")]
    started = [child(f"order = {order}{LOOPS}", **cache) for order in orders]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:  # all wait for this line
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        compiled, loaded = map(int, output(process)[0].split())
        assert compiled + loaded == 4
    later = child(f"order = {orders[0]}{LOOPS}", **cache)
    out, err = output(later, "\n")
    assert out.splitlines()[-1] == "0 4" and err == ""


@compiling
@pytest.mark.process
def test_no_folder_to_write_to_is_no_fault(tmp_path):
    import shutil

    source = tmp_path / "minidl"
    skipped = shutil.ignore_patterns("__pycache__", "*.npz")
    shutil.copytree(ROOT / "minidl", source, ignore=skipped)
    blocked = source / "kernels" / "__pycache__"
    blocked.write_text("a file: nothing can be written below, not even by root")
    code = (
        "import numpy as np, minidl; from minidl.kernels import _compile, _dispatch\n"
        "_compile.PATIENCE = 0.0\n"
        "print(minidl.__file__, minidl.kernels.erf(np.zeros(3)), _dispatch.folders())"
    )
    below = {
        n: str(blocked / "x") for n in ("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME")
    }
    out, err = output(child(code, cwd=tmp_path, PYTHONPATH=str(tmp_path), **below))
    assert out == f"{source / '__init__.py'} [0. 0. 0.] {{None}}"
    assert "no cache folder can be written" in err


TRAIN = """
import numpy as np, minidl
from minidl import functional as F, models, optim
from minidl.kernels import _dispatch
model = models.create("lenet")
rule = optim.Adam(model.parameters())
images = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
for _ in range(2):
    rule.zero_grad()
    scores = model(minidl.tensor(images))
    F.cross_entropy(scores, minidl.tensor(np.arange(64) % 10)).backward()
    rule.step()
print(*_dispatch.compilations())
"""


@compiling
@pytest.mark.process
def test_after_warmup_nothing_is_left_to_compile():
    run = "from minidl import cli; assert cli.main(['warmup']) == 0"
    assert "versions of loops" in output(child(run))[0]
    out, err = output(child(run))
    assert out.startswith("compiled 0 versions of loops") and err == ""
    compiled, loaded = output(child(TRAIN))[0].split()
    assert compiled == "0" and int(loaded) > 3


@compiling
@pytest.mark.process
def test_warmup_reaches_every_loop():
    """Each loop is run in both precisions, or is a helper of one that is."""
    warmup.run(console.make_console(stderr=True))
    floats = {}
    for loop in loops_of_minidl:
        signatures = loop.compiled.signatures if loop.built else []
        floats[loop] = {
            w for w in warmup.DTYPES if any(w in str(s) for s in signatures)
        }
    for loop in reversed(loops_of_minidl):  # callers stand behind their helpers
        for helper in loop.helpers().values():
            if isinstance(helper, Jit):
                floats[helper] |= floats[loop]
    missed = [
        f"{loop.function.__module__}.{loop.function.__name__}: {sorted(found)}"
        for loop, found in floats.items()
        if found != set(warmup.DTYPES)
    ]
    assert not missed, "give warmup.py something that runs these"


def test_warmup_without_a_compiler_says_so(monkeypatch, capsys):
    from minidl import cli

    monkeypatch.setattr(warmup, "disabled", lambda: True)
    assert cli.main(["warmup"]) == 0
    assert "nothing is compiled" in capsys.readouterr().out


def test_one_loop_is_compiled_not_all():
    code = (
        "import numpy as np, minidl; from minidl.kernels import _dispatch\n"
        "minidl.kernels.erf(np.zeros(3))\n"
        "print(*[loop.function.__module__ for loop in _dispatch.LOOPS if loop.built])"
    )
    assert output(child(code))[0] == "minidl.kernels.erf"
