"""The two analyses of a shift module, against loops, and their pictures."""

import numpy as np
import pytest

from minidl.errors import MinidlError
from minidl.papers import shift_analysis as analysis
from minidl.papers.shift import Shift2d
from minidl.samples import Draw
from minidl.tensor import Tensor

R = Draw(5)


def test_correlation_is_the_mean_over_pairs():
    layer, x = Shift2d(30), R(3, 30, 4, 5)
    x[:, 9] = 2 * x[:, 0] + 1  # direction (-1, -1): channels 0, 9 and 18
    x[:, 10] = 5.0  # constant: correlates with none
    found = analysis.correlation(layer, Tensor(x))
    rows = np.moveaxis(x, 1, 0).reshape(30, -1)

    def corr(a, b):
        return abs(np.corrcoef(rows[a], rows[b])[0, 1])

    assert np.isclose(found[0, 0], (1 + corr(0, 18) + corr(9, 18)) / 3)
    assert np.isclose(found[0, 1], corr(1, 19) / 3)
    rest = [4, 13, 22, 27, 28, 29]
    pairs = [corr(a, b) for i, a in enumerate(rest) for b in rest[:i]]
    assert np.isclose(found[1, 1], np.mean(pairs))


def test_a_direction_without_channels_is_not_a_number():
    x = R(2, 9, 3, 3)
    assert np.isnan(analysis.correlation(Shift2d(9), x)).all()
    small = analysis.contribution(Shift2d(4), x[:, :4], R(2, 4))
    assert np.isnan(small).sum() == 8 and small[1, 1] > 0


def test_contribution_is_weight_times_deviation():
    layer, x, w = Shift2d(20), R(3, 20, 4, 5), R(6, 20, 1, 1)
    found = analysis.contribution(layer, x, Tensor(w))
    expected = np.zeros((3, 3))
    for c in range(20):
        i, j = layer.dh[c] + 1, layer.dw[c] + 1
        expected[i, j] += np.abs(w[:, c]).sum() * x[:, c].std()
    assert np.allclose(found, expected)
    assert np.allclose(analysis.contribution(layer, x, w[:, :, 0, 0]), expected)


def test_pictures_are_written_whole(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need minidl[plot]")
    values = analysis.correlation(Shift2d(20), R(3, 20, 4, 5))
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        path = analysis.draw(values, tmp_path / name, "correlation")
        assert path.read_bytes().startswith(start)
    analysis.draw(np.full((3, 3), np.nan), tmp_path / "none.png")
    with pytest.raises(MinidlError, match="must end in .png or .svg; got a.gif"):
        analysis.draw(values, tmp_path / "a.gif")


def test_bad_input_is_one_clear_error():
    layer, x = Shift2d(9), R(2, 9, 3, 3)
    with pytest.raises(MinidlError, match="the layer's 9 channels; got 8"):
        analysis.correlation(layer, x[:, :8])
    with pytest.raises(MinidlError, match=r"must be \(N, C, H, W\)"):
        analysis.correlation(layer, x[0])
    with pytest.raises(MinidlError, match=r"weight must be \(O, 9\).*got \(4, 8\)"):
        analysis.contribution(layer, x, R(4, 8))
