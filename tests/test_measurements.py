"""Experiments that measure: rows, files, and what those of Fastfood find."""

import csv
import math

import numpy as np
import pytest

from minidl import cli, data, kernels
from minidl.errors import ArgumentError
from minidl.experiments import catalogue, fastfood, measurement, show
from minidl.experiments.measurement import Measurement, Task

IMAGES = data.load(None)
MEASUREMENTS = [e for e in catalogue.EXPERIMENTS.values() if isinstance(e, Measurement)]


def some_rows(task):
    for i in range(2 if task.quick else 4):
        yield {"i": i, "half": i / 2, "seeds": task.seeds, "_hidden": object()}


def draw(rows, path):
    path.write_bytes(b"picture of %d" % len(rows))
    return path


TINY = Measurement(
    "tiny", "what?", "nobody", some_rows, lambda rows: [f"{len(rows)} rows."], draw, 5
)


def test_results_grow_row_by_row(tmp_path):
    seen = []

    def report(row):
        with open(tmp_path / "results.csv") as file:
            rows = list(csv.DictReader(file))
        seen.append(row)
        assert len(rows) == len(seen) and "_hidden" not in rows[0]
        assert float(rows[-1]["half"]) == row["half"]

    found = measurement.run(TINY, IMAGES, tmp_path, report=report)
    assert found == seen and len(found) == 4 and found[0]["seeds"] == 5
    quick = measurement.run(TINY, IMAGES, tmp_path, quick=True)
    assert len(quick) == 2 and quick[0]["seeds"] == measurement.QUICK_SEEDS
    assert measurement.run(TINY, IMAGES, tmp_path, seeds=3)[0]["seeds"] == 3
    with pytest.raises(ArgumentError, match="seeds must be >= 1; got 0"):
        measurement.run(TINY, IMAGES, tmp_path, seeds=0)


def test_figures_are_readable():
    assert show.readable({"n": 268_435_456}) == {"n": "268.4M"}
    row = {"a": 1234567, "b": 0.0123456, "c": math.nan, "d": "4 x 4", "_e": 1}
    expected = {"a": "1,234,567", "b": "0.01235", "c": "-", "d": "4 x 4"}
    assert show.readable(row) == expected


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words):
        return cli.main(list(words)), *capsys.readouterr()

    return call


def test_the_command_shows_table_sentence_and_picture(run, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "EXPERIMENTS", {"tiny": TINY})
    status, out, _ = run("experiment", "tiny")
    assert status == 0 and "tiny (nobody): what?" in out and "- 4 rows." in out
    assert "i 3, half 1.5, seeds 5\n" in out and "plot.png" in out
    folder = tmp_path / "runs" / "experiments" / "tiny"
    assert (folder / "plot.png").read_bytes() == b"picture of 4"
    status, out, _ = run("experiment", "tiny", "--quick")
    assert status == 0 and "leave --quick out" in out and "4 rows" not in out


@pytest.mark.parametrize("name", [m.name for m in MEASUREMENTS])
def test_quick_runs_fit_the_terminal(run, name, tmp_path):
    pytest.importorskip("matplotlib")
    status, out, err = run("experiment", name, "--quick", "--out", "here")
    assert (status, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    assert (tmp_path / "here" / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_errors_of_kernels_fall_with_n():
    rows = list(fastfood._kernel_rows(Task(IMAGES, True, 3)))
    first, last = rows[0], rows[-1]
    assert last["rows n"] == 4 * first["rows n"]
    for name in ("formula", "Gaussian", "Fastfood"):
        assert 1.5 < first[name] / last[name] < 2.7
    assert 0.7 < last["Gaussian"] / last["formula"] < 1.3
    slope = {"rows n": 1, "x": 2.0}, {"rows n": 100, "x": 0.2}
    assert math.isclose(fastfood._slope(slope, "x"), -0.5)
    words = fastfood._kernel_conclusions(rows)
    assert "slope of -0.5. Here: Gaussian -0." in words[0]


def test_the_spectrum_gives_the_image_back():
    image = fastfood._square(IMAGES.x_test[3])
    assert image.shape == (32, 32) and 0 < image.max() <= 1
    spectrum = fastfood._spectrum(image)
    np.testing.assert_allclose(fastfood._image_of(spectrum), image, atol=1e-12)
    energy = (spectrum**2).sum() / image.size
    np.testing.assert_allclose(energy, (image**2).sum())  # Parseval
    stripes = np.tile(np.where(np.arange(8) % 2, -1.0, 1.0), (8, 1))
    found = fastfood._spectrum(stripes)  # as many sign changes as there can be
    assert found[0, 7] == 64 and np.count_nonzero(found) == 1


def test_fewer_sequencies_hold_less():
    rows = list(fastfood._spectrum_rows(Task(IMAGES, True, 1)))
    energy = [row["energy %"] for row in rows]
    assert energy[0] == pytest.approx(100) and energy == sorted(energy, reverse=True)
    assert rows[0]["PSNR dB"] > 200 and rows[1]["PSNR dB"] > rows[2]["PSNR dB"]
    assert [row["numbers"] for row in rows] == [1024, 256, 64, 16, 4]


def test_memory_is_measured_whole():
    """The dense layer holds its weights and their gradient at the least."""
    kernels.release()
    rows = list(fastfood._speed_rows(Task(IMAGES, True, 1)))
    assert [row["d"] for row in rows] == [256, 512, 1024]
    for row in rows:
        d = row["d"]
        weights, arrays = 4 * d * d / 2**20, 4 * 64 * d / 2**20
        assert row["dense weights"] == d * d and row["Fastfood weights"] == 3 * d
        assert row["dense MiB"] > 2 * weights
        assert 2 * arrays < row["Fastfood MiB"] < 2 * weights
        assert row["times"] == row["dense ms"] / row["Fastfood ms"]
    words = fastfood._speed_conclusions(rows)
    assert "d = 1,024" in words[0]
    slow = [{**rows[0], "times": 0.5}]
    assert "at no size measured" in fastfood._speed_conclusions(slow)[0]


def test_cut_layers_are_the_hidden_ones():
    for name in ("SVD, rank 125", "SVD, rank 16"):
        variant = fastfood.MNIST.variant(name)
        model = fastfood.MNIST.untrained(variant, (1, 28, 28), 10)
        ranks = [layer.weight.shape[0] for layer in model[5]]
        assert ranks == [125 if "125" in name else 16, 500]
    counts = {
        v.name: fastfood.MNIST.count(v, (1, 28, 28), 10).parameters
        for v in fastfood.MNIST.variants
    }
    assert counts["reference"] == 430_500 and counts["Adaptive 2048"] == 52_124
    assert counts["rank 16, tuned"] == counts["SVD, rank 16"] == 51_300
