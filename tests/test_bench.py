"""``minidl bench`` as a person meets it: tables, files, refusals, Ctrl-C.

No time is tested, only that each row is measured.
"""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import lookalike
import numpy as np
import pytest

from minidl import backend, cli
from minidl.bench import (
    ceilings,
    conv,
    engine,
    explain,
    dynamic,
    fastfood,
    fwht,
    measure,
    memory,
    nets,
    report,
    setting,
    shift,
    train,
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run ``minidl bench`` in an empty folder; returns (status, stdout, stderr).

    A word that kernels are being compiled is left out: it comes on slow machines only.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words):
        try:
            status = cli.main(["bench", *map(str, words)])
        except SystemExit as end:  # argparse
            status = end.code
        out, err = capsys.readouterr()
        said = err.splitlines(keepends=True)
        return status, out, "".join(x for x in said if "compiling kernels" not in x)

    return call


@pytest.fixture
def small(monkeypatch):
    """Every suite on sizes that take a moment."""
    monkeypatch.setattr(measure, "LEAST", 1e-6)
    for name, value in dict(COPIED=64, SIDE=8, TRIES=1).items():
        monkeypatch.setattr(ceilings, name, value)
    bars = {
        "depthwise": ("2x4x5x6,k=3,p=1,g=4", 8, 4),
        "dense 1x1": ("2x4x5x6", 1, 1),
    }
    monkeypatch.setattr(conv, "BARS", bars)
    monkeypatch.setattr(conv, "GRID", ["1x2x5x5,k=3,s=2,p=1", "2x4x1x8,k=1x3"])
    shapes = {"3x3": ((2, 9, 4, 5), 3), "5x5": ((1, 30, 4, 5), 5)}
    monkeypatch.setattr(shift, "SHAPES", shapes)
    work = [
        ((4, 8), "in place", 1.5),
        ((4, 8), "fwd", None),
        ((2, 16), "fwd+bwd", None),
    ]
    monkeypatch.setattr(fwht, "WORK", work)
    monkeypatch.setattr(fastfood, "WORK", [(4, "<= 1x dense"), (8, "<= 3x floor")])
    monkeypatch.setattr(fastfood, "BATCH", 3)
    for name, value in dict(BATCH=2, CHANNELS=3, OUT=4, SIZE=5, EXPERTS=2).items():
        monkeypatch.setattr(dynamic, name, value)
    for name, value in dict(WIDTHS=(2, 2, 3), IMAGES=4).items():
        monkeypatch.setattr(dynamic, name, value)
    monkeypatch.setattr(train, "BARS", {"separable": ">= 3x"})
    monkeypatch.setattr(nets, "CHANNELS", (2, 2, 3, 3))
    images = np.random.default_rng(0).standard_normal((2, 1, 28, 28), np.float32)
    monkeypatch.setattr(nets, "batch", lambda size: (images, np.array([3, 7])))
    monkeypatch.setattr(nets, "fastest_shift", lambda _: "slices")
    monkeypatch.setattr(memory, "peak", lambda *a: 2.0)
    monkeypatch.setattr(engine, "start_rows", lambda *a: [])


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


ROWS = {
    "conv": ["depthwise fwd", "depthwise fwd+bwd", "dense 1x1 fwd", "dense 1x1 fwd+bwd"]
    + [f"1x2x5x5,k=3,s=2,p=1 {p}" for p in ("fwd", "fwd+bwd")]
    + [f"2x4x1x8,k=1x3 {p}" for p in ("fwd", "fwd+bwd")],
    "shift": ["3x3 fwd", "3x3 fwd+bwd", "5x5 fwd", "5x5 fwd+bwd"],
    "fwht": ["4 x 8, in place", "4 x 8, fwd", "2 x 16, fwd+bwd"],
    "fastfood": ["d = 4", "d = 8, floor"],
    "dynamic": ["CondConv, grouped", "CondConv, mixture"]
    + [f"{n} of 6 blocks" for n in (6, 4, 2)],
    "train": ["separable step", "separable memory"],
}
PEERS = {
    "conv": set(),
    "shift": {"copyto"},
    "fwht": {"copyto", "GEMM"},
    "fastfood": {"floor", "dense"},
    "dynamic": {"mixture", "all"},
    "train": set(),
}


def torch_here():
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("suite", ROWS)
def test_a_suite_prints_its_table_and_writes_its_files(run, small, suite, tmp_path):
    pytest.importorskip("matplotlib")
    words = ("--rounds", 1, "--json", "found.json", "--plot", "roof.png")
    status, out, err = run(suite, *words)
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "ceilings here: copying" in out and "of roof" in out
    found = json.loads((tmp_path / "found.json").read_text())
    about = ("suite", "device", "rounds", "finished")
    assert [found[key] for key in about] == [suite, "cpu", 1, True]
    assert found["ceilings"].keys() == {"copy_gb_per_s", "gemm_gflop_per_s"}
    assert [row["name"] for row in found["rows"]] == ROWS[suite]
    assert set().union(*(row["others"] for row in found["rows"])) == PEERS[suite]
    for row in found["rows"]:
        assert row["ours"] > 0 and (row["peer"] is not None) == torch_here()
        timed = row["unit"] != "MiB"
        assert (row["gb_per_s"] is not None) == (row["share_of_roof"] is not None)
        assert (row["gb_per_s"] is not None) == timed
        assert row["reached"] is None or row["reach"]
    picture = (tmp_path / "roof.png").read_bytes()
    image = pytest.importorskip("matplotlib.image")
    assert picture.startswith(b"\x89PNG")
    assert image.imread(tmp_path / "roof.png").shape[0] > 600


@pytest.mark.process
def test_the_engine_writes_a_list_of_rows(run, small, tmp_path):
    status, out, err = run("engine", "--rounds", 1, "--json", "rows.json")
    assert (status, err) == (0, "") and "lenet step" in out and "GB/s" not in out
    assert max(map(len, out.splitlines())) <= 80
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows[0]["name"] == "tiny op, fwd + bwd"
    assert all(row["ours"] > 0 for row in rows)


@pytest.mark.parametrize("suite", ROWS)
def test_without_torch_there_are_no_ratios_but_a_reason(run, small, no_torch, suite):
    status, out, _ = run(suite, "--rounds", 1, "--json", "found.json")
    assert status == 0 and "pip install 'minidl[parity]'" in out
    with open("found.json") as file:
        found = json.load(file)
    assert found["torch"] is None
    assert [row["name"] for row in found["rows"]] == ROWS[suite]
    assert all(row["ratio"] is None for row in found["rows"])


def test_the_parts_of_conv_can_be_chosen(run, small, no_torch):
    status, out, _ = run("conv", "--rounds", 1, "--only", "grid")
    assert status == 0 and "4 timings of 2 shapes" in out and "depthwise" not in out
    status, out, _ = run("conv", "--rounds", 1, "--only", "bars")
    assert status == 0 and "depthwise" in out and "timings" not in out


def interrupted(rows, after):
    def some(*args, **options):
        for i, row in enumerate(rows(*args, **options)):
            if i == after:
                raise KeyboardInterrupt
            yield row

    return some


@pytest.mark.parametrize("after", [0, 1])
def test_ctrl_c_ends_with_what_was_measured(run, small, monkeypatch, after, tmp_path):
    monkeypatch.setattr(shift, "rows", interrupted(shift.rows, after))
    status, out, err = run("shift", "--rounds", 1, "--json", "found.json")
    assert (status, err) == (130, "") and "interrupted: " in out
    path = tmp_path / "found.json"
    assert path.exists() == (after == 1) == ("3x3 fwd" in out)
    if after:
        found = json.loads(path.read_text())
        assert [row["name"] for row in found["rows"]] == ["3x3 fwd"]
        assert found["finished"] is False


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_in_a_real_run(tmp_path):
    code = (  # a shell's background jobs start with SIGINT ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from minidl.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "bench", "shift", "--rounds", "100000"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    plain = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    with subprocess.Popen(words, cwd=tmp_path, env=plain, **pipes) as process:
        while "ceilings" not in (line := process.stdout.readline()):
            assert line and process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in out + err
    assert "interrupted" in out


REFUSALS = [
    (["motor"], "invalid choice: 'motor'"),
    ([], "required: SUITE"),
    (["shift", "--rounds", "0"], "bench: rounds must be >= 1; got 0"),
    (["engine", "--rounds", "0"], "bench: rounds must be >= 1; got 0"),
    (["shift", "--rounds", "few"], "must be an integer; got 'few'"),
    (["shift", "--threads", "0"], "n must be in [1, "),
    (["shift", "--device", "gpu"], "'cpu' or 'cuda'; got 'gpu'"),
    (["fwht", "--plot", "roof.jpg"], "--plot must name a .png file; got roof.jpg"),
    (["conv", "--only", "some"], "invalid choice: 'some'"),
    (["engine", "--plot", "roof.png"], "unrecognized arguments: --plot"),
    (["conv", "--explain", "3x3"], "NxCxHxW has 4 numbers; got '3x3'"),
]


@pytest.mark.parametrize("words, says", REFUSALS, ids=lambda v: " ".join(v)[:40])
def test_refusals_are_one_sentence_and_exit_2(run, words, says):
    status, out, err = run(*words)
    assert status == 2 and says in err and "Traceback" not in err + out
    if err.startswith("minidl:"):
        assert err.count("\n") == 1


def test_a_plot_without_matplotlib_is_refused_before_measuring(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(ceilings, "find", lambda _: pytest.fail("measured"))
    status, out, err = run("shift", "--plot", "roof.png")
    assert status == 2 and "pip install 'minidl[plot]'" in err and out == ""


def test_cuda_without_a_gpu(run):
    if backend.is_available():
        pytest.skip("there is a GPU here")
    status, _, err = run("shift", "--device", "cuda")
    assert status == 2 and "'cuda' is not usable" in err and err.count("\n") == 1


SIMULATED = [pytest.param("conv", marks=pytest.mark.process), "shift", "fwht"]
SIMULATED += ["fastfood", "dynamic", "train"]


@pytest.mark.parametrize("suite", SIMULATED)
def test_on_a_gpu_the_rows_are_those_that_live_there(run, small, suite):
    """On the look-alike: the same rows, less those in place, and the device is waited
    for around each timing."""
    with lookalike.installed():
        status, out, err = run(
            suite, "--rounds", 1, "--device", "cuda", "--json", "found.json"
        )
        waits = sum("synchronize" in note for note in lookalike.syncs)
    assert (status, err) == (0, "") and "no ratios" in out
    with open("found.json") as file:
        found = json.load(file)
    expected = [name for name in ROWS[suite] if "in place" not in name]
    assert found["device"] == "cuda"
    assert [row["name"] for row in found["rows"]] == expected
    assert waits >= 2 * len(expected)


@pytest.mark.gpu
@pytest.mark.parametrize("suite", ROWS)
def test_on_a_real_gpu(run, small, suite):
    status, out, err = run(suite, "--rounds", 1, "--device", "cuda")
    assert (status, err) == (0, "") and "cuda" in out


def test_explain_says_what_is_taken_and_why(run, monkeypatch):
    asked = []

    def choose(*call):
        asked.append(call)
        return SimpleNamespace(algorithm=f"way of {call[0]}", reason="a [good] reason")

    rows = [
        SimpleNamespace(algorithm=a, when=f"when {a}", reason=f"why {a}") for a in "xyz"
    ]
    monkeypatch.setattr(explain.conv, "choose", choose, raising=False)
    monkeypatch.setattr(explain.conv, "CHOICES", rows, raising=False)
    status, out, _ = run("conv", "--explain", "2x4x9x8,out=6,k=4x3,p=same,g=2")
    assert status == 0 and max(map(len, out.splitlines())) <= 80
    for word in ("way of forward", "way of input", "way of weight", "a [good] reason"):
        assert word in out
    assert [f"when {a}" in out and f"why {a}" in out for a in "xyz"] == [True] * 3
    sizes = (2, 4, 9, 8), (6, 2, 4, 3), (1, 1), ((1, 2), (1, 1)), (1, 1), 2
    assert asked == [(name, *sizes) for name in ("forward", "input", "weight")]


def test_explain_with_the_real_table(run):
    status, out, _ = run("conv", "--explain", "64x64x32x32,k=3,p=1,g=64")
    assert status == 0 and max(map(len, out.splitlines())) <= 80
    assert explain.conv.CHOICES[0].algorithm in out and "weight gradient" in out


def test_the_threads_asked_for(run, small, no_torch, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(setting, "set_num_threads", asked.append)
    monkeypatch.setattr(setting, "get_num_threads", lambda: asked[-1])
    words = ("--rounds", 1, "--threads", 3, "--json", "found.json")
    status, out, _ = run("shift", *words)
    assert status == 0 and asked == [3] and "3 threads" in out
    assert json.loads((tmp_path / "found.json").read_text())["threads"] == 3


def test_every_suite_and_network_can_be_asked_for():
    from minidl.bench import options

    assert list(options.SUITES) == list(report.SUITES)
    assert tuple(train.BARS) == nets.NAMES
    for reach in train.BARS.values():  # no bar is an empty text
        measure.Row("one", 1.0, 1.0, "s", 1.0, reach).as_dict()
