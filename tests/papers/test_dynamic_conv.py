"""Dynamic convolution: attention that sums to 1, its temperature, its cost."""

from dataclasses import replace

import numpy as np
import pytest

import minidl
from minidl import data, models, nn
from minidl import functional as F
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import conditional_conv as cc
from minidl.papers import dynamic_conv as dc
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer
from minidl.train import Config, Trainer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def test_attention_by_hand():
    attention, x = dc.Attention(8, 3).to("float64"), images(4, 8, 3, 5)
    attention.set_temperature(2.5)
    w1, b1 = attention.first.weight.data, attention.first.bias.data
    w2, b2 = attention.second.weight.data, attention.second.bias.data
    assert w1.shape == (2, 8) and w2.shape == (3, 2)
    z = np.maximum(x.data.mean((2, 3)) @ w1.T + b1, 0) @ w2.T + b2
    expected = np.exp(z / 2.5) / np.exp(z / 2.5).sum(1, keepdims=True)
    assert_close(attention(x).data, expected, "float64", "pi")
    assert_close(attention(x).data.sum(1), np.ones(4), "float64", "sum")


def test_a_large_temperature_makes_shares_equal():
    attention, x = dc.Attention(8, 4).to("float64"), images(3, 8, 3, 3)
    attention.set_temperature(1e9)
    assert np.abs(attention(x).data - 0.25).max() < 1e-8
    attention.set_temperature(1e-3)
    assert attention(x).data.max(axis=1).min() > 0.9


def test_equal_shares_are_the_mean_kernel():
    net = dc.DynamicConv2d(4, 6, 3, padding=1).to("float64")
    dc.set_temperature(net, 1e12)
    x, (w, b) = images(2, 4, 5, 5), (net.weight.data.mean(0), net.bias.data.mean(0))
    plain = F.conv2d(x, Tensor(w), Tensor(b), padding=1).data
    np.testing.assert_allclose(net(x).data, plain, atol=1e-9)


@pytest.mark.parametrize("way", cc.EVALUATIONS)
def test_all_evaluations_agree(way):
    net = dc.DynamicConv2d(4, 6, 3, 2, 1, groups=2, evaluation=way).to("float64")
    x = images(3, 4, 6, 5)
    y = net(x).data
    net.evaluation = "each"
    assert_close(y, net(x).data, "float64", way)


def test_derivatives():
    net = dc.DynamicConv2d(4, 3, 3, padding=1, experts=3).to("float64")
    dc.set_temperature(net, 1.0)
    check_layer(net, images(2, 4, 3, 3))


@pytest.mark.parametrize(
    "epoch, expected", [(0, 30), (1, 27.1), (5, 15.5), (9, 3.9), (10, 1), (300, 1)]
)
def test_the_schedule(epoch, expected):
    assert dc.temperature_at(epoch) == pytest.approx(expected)


def test_cost_of_the_worked_layer():
    assert dc.dynamic_cost(64, 128, 3) == (1_108, 296_532)
    net = dc.DynamicConv2d(64, 128, 3)
    attention = sum(p.numel() for p in net.routing.parameters())
    whole = sum(p.numel() for p in net.parameters())
    assert (attention, whole) == (1_108, 296_532)


def test_training_lowers_the_temperature_and_keeps_it(tmp_path):
    full = data.load(None)
    few = {
        k: getattr(full, k)[:100] for k in ("x_train", "y_train", "x_test", "y_test")
    }
    few = replace(full, **few)
    trainer = Trainer(Config("dynamicconv", epochs=2), few)
    seen = []
    trainer.fit(tmp_path, on_epoch=lambda row: seen.append(trainer.status()))
    assert seen == ["temperature 30", "temperature 27.1"]
    again, _ = Trainer.resume(tmp_path, few)
    assert again.status() == "temperature 27.1"  # as soft as it was
    x = Tensor(np.ones((2, 1, 28, 28), np.float32))
    ours, theirs = (t.model.eval()(x).data for t in (trainer, again))
    assert np.array_equal(ours, theirs)


def test_the_model_is_dynamic_but_for_its_first_convolution():
    net = models.create("dynamicconv")
    kinds = [type(m).__name__ for m in net if "Conv" in type(m).__name__]
    assert kinds == ["Conv2d"] + ["DynamicConv2d"] * 3


def test_another_schedule():
    net = dc.dynamic_conv_small((1, 8, 8))
    layers = [m for m in net.modules() if isinstance(m, dc.Attention)]
    dc.set_schedule(net, 5.0, 4)
    found = []
    for epoch in (0, 1, 3, 4, 9):
        for layer in layers:
            layer.start_epoch(epoch, 99)
        found.append({float(layer.temperature.data[0]) for layer in layers})
    assert found == [{5.0}, {4.0}, {2.0}, {1.0}, {1.0}]
    with pytest.raises(ArgumentError, match="set_schedule: model must have attention"):
        dc.set_schedule(nn.Linear(2, 2), 5.0)
    with pytest.raises(ArgumentError, match="start must be a finite number > 0"):
        dc.set_schedule(net, 0.0)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: dc.Attention(4).set_temperature(0),
            "temperature must be .* > 0; got 0",
        ),
        (lambda: dc.Attention(4).set_temperature(-1.0), "must be a finite number > 0"),
        (lambda: dc.Attention(4, 0), "experts must be an integer >= 1; got 0"),
        (lambda: dc.Attention(4, reduction=0), "reduction must be an integer >= 1"),
        (lambda: dc.Attention(4)(images(2, 3, 4, 4)), r"input must be \(N, 4, H, W\)"),
        (lambda: dc.DynamicConv2d(4, 4, 3, experts=0), "experts must be an integer"),
        (lambda: dc.set_temperature(nn.Linear(2, 2), 1.0), "must have attention"),
        (lambda: dc.temperature_at(-1), "epoch must be an integer >= 0; got -1"),
        (lambda: dc.temperature_at(0, 0.0), "start must be a finite number > 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        call()


def test_few_channels_keep_one_hidden_unit():
    assert dc.Attention(2).first.weight.shape == (1, 2)
