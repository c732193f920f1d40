"""SVD compression: the nearest pair of layers, its cost, its place in a model."""

import math

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.errors import ArgumentError
from minidl.papers import fastfood
from minidl.papers import svd_compression as svd
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def linear(inputs=7, outputs=5, bias=True):
    return nn.Linear(inputs, outputs, bias).to("float64")


def written_out(thin):
    return thin[1].weight.data @ thin[0].weight.data


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_what_is_lost_are_the_singular_values_left_out(rank):
    full = linear()
    thin = svd.factorise(full, rank)
    s = np.linalg.svd(full.weight.data, compute_uv=False)
    lost = np.linalg.norm(full.weight.data - written_out(thin))
    assert math.isclose(lost, math.sqrt((s[rank:] ** 2).sum()), rel_tol=1e-10)
    for layer in thin:  # both take the root
        assert_close((layer.weight.data**2).sum(), s[:rank].sum(), "float64", "norm")


def test_no_pair_of_that_rank_is_nearer():
    full = linear()
    least = np.linalg.norm(full.weight.data - written_out(svd.factorise(full, 2)))
    r = Draw(1)
    for _ in range(50):
        near = svd.factorise(full, 2)
        for layer in near:
            layer.weight.data += 0.05 * r(*layer.weight.shape)
        assert np.linalg.norm(full.weight.data - written_out(near)) > least


@pytest.mark.parametrize("bias", [True, False])
def test_full_rank_is_the_layer_itself(bias):
    full, x = linear(7, 5, bias), Tensor(Draw(0)(3, 7))
    thin = svd.factorise(full, 5)
    assert_close(thin(x).data, full(x).data, "float64", "y")
    assert thin[0].bias is None and (thin[1].bias is not None) == bias


def test_the_layer_is_left_alone():
    full = linear()
    before = {k: t.numpy().copy() for k, t in full.state_dict().items()}
    thin = svd.factorise(full, 2)
    for p in thin.parameters():
        p.data += 1
    assert all(np.array_equal(full.state_dict()[k].data, v) for k, v in before.items())


def test_derivatives():
    check_layer(svd.factorise(linear(), 2), Tensor(Draw(0)(3, 7)))


def test_float32_stays_float32():
    thin = svd.factorise(nn.Linear(4, 3), 2)
    assert {p.dtype for p in thin.parameters()} == {np.dtype("float32")}


def test_a_model_is_compressed_as_a_copy():
    net = models.create("lenet")
    hidden = net[5]
    thin = svd.compress(net, {"5": 16, "7": 4})
    assert net[5] is hidden and type(thin[5]) is nn.Sequential
    assert fastfood.count_weights(thin) == 25_500 + 16 * 1300 + 4 * 510
    x = Tensor(Draw(0)(2, 1, 28, 28).astype(np.float32))
    whole = svd.compress(net, {"5": 500, "7": 10})
    np.testing.assert_allclose(whole(x).data, net(x).data, rtol=1e-3, atol=1e-4)
    assert np.abs(thin(x).data - net(x).data).max() > 1e-3


def test_a_layer_deep_inside_is_found():
    net = nn.Sequential(nn.Residual(nn.Sequential(nn.Linear(4, 4))), nn.Linear(4, 2))
    path = next(k for k, m in net.named_modules() if type(m) is nn.Linear and "." in k)
    thin = svd.compress(net, {path: 1})
    assert sum(p.numel() for p in thin.parameters()) == 8 + 4 + 10


def test_when_it_pays():
    assert svd.pays_below(500, 800) == 400_000 / 1300
    for rank in (1, 3, 4, 6):
        thin = svd.pair(12, 6, rank, bias=False)
        fewer = sum(p.numel() for p in thin.parameters()) < 72
        assert fewer == (rank < svd.pays_below(6, 12))


def test_caffenet():
    half = svd.caffenet_units(1 / 2)
    assert half == (9216, 2048, 4096, 2048, 4096, 500, 1000)
    assert fastfood.caffenet_dense_weights(half) == 46_588_192
    quarter = svd.caffenet_units(1 / 4)
    assert quarter == (9216, 1024, 4096, 1024, 4096, 250, 1000)
    assert fastfood.caffenet_dense_weights(quarter) == 23_294_096  # printed as 23.4M


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: svd.factorise(linear(), 6), "rank must be at most 5, .*; got 6"),
        (lambda: svd.factorise(linear(), 0), "rank must be an integer >= 1; got 0"),
        (lambda: svd.pair(3, 4, 4), "rank must be at most 3"),
        (lambda: svd.compress(linear(), {"x": 1}), "must name linear layers.*got 'x'"),
        (lambda: svd.compress(models.create("lenet"), {"0": 1}), "here 5, 7; got '0'"),
        (lambda: svd.caffenet_units(0), r"share must be in \(0, 1\]; got 0"),
        (lambda: svd.pays_below(0, 4), "m must be an integer >= 1"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
