"""What the experiments on input-dependent nets measure with."""

import math

import numpy as np
import pytest

import minidl
from minidl import data, nn
from minidl.experiments import dynamic_conv as dc
from minidl.experiments import pruning, regularisation, skipping
from minidl.experiments.measurement import Task
from minidl.papers import meta_pruning
from minidl.papers.resnet import ResNet
from minidl.samples import Draw
from minidl.tensor import Tensor


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(count=48, size=8):
    """Three classes that brightness tells apart."""
    rng = np.random.default_rng(0)

    def some(n):
        y = np.arange(n) % 3
        shade = 60 * y[:, None, None, None] + rng.integers(0, 60, (n, 1, size, size))
        return shade.astype(np.uint8), y

    (x, y), (tx, ty) = some(count), some(count // 2)
    return data.Dataset("shades", x, y, tx, ty, ["a", "b", "c"])


def test_weights_of_a_net_and_experts_at_work():
    model = dc._built(dc._cond(4), 3)((1, 8, 8), 3)
    x = Tensor(Draw(0)(5, 1, 8, 8).astype("f"))
    before = model.eval()(x).data.copy()
    found = dc.weights_of(model, x)
    assert [w.shape for w in found] == [(5, 4)] * 2
    layer = next(m for m in model.modules() if isinstance(m, dc.CondConv2d))
    h = model[0](x)
    h = model[2](model[1](h))
    assert np.allclose(found[0], layer.routing(h).data, atol=1e-6)
    assert np.array_equal(model(x).data, before)  # nothing stays behind
    even, one = np.full((6, 4), 0.25), np.eye(4)[[0] * 6] + 1e-12
    assert dc.effective(even) == pytest.approx(4)
    assert dc.effective(one) == pytest.approx(1, abs=1e-8)
    assert dc.effective(np.eye(4)[[0, 1]] + 1e-12) == pytest.approx(2, abs=1e-8)


def test_labels_that_are_drawn_anew():
    many = images(3000)
    noisy = regularisation.mislabelled(many, 1)
    assert noisy.x_train is many.x_train and noisy.y_test is many.y_test
    wrong = (noisy.y_train != many.y_train).mean()
    expected = 0.4 * 2 / 3  # drawn anew, one in three is right by chance
    assert abs(wrong - expected) < 5.5 * math.sqrt(expected * (1 - expected) / 3000)
    again = regularisation.mislabelled(many, 1)
    assert np.array_equal(again.y_train, noisy.y_train)
    other = regularisation.mislabelled(many, 2)
    assert not np.array_equal(other.y_train, noisy.y_train)


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ([1, 2, 3, 4], [10, 20, 30, 99], 1),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
        ([1, 1, 2], [1, 1, 5], 1),
    ],
)
def test_the_correlation_of_ranks(a, b, expected):
    assert pruning.rank_correlation(a, b) == pytest.approx(expected)


def test_blocks_at_random():
    net = skipping.AtRandom(ResNet((2, 2), (3, 4), 1, 3), 2)
    x = Tensor(Draw(0)(400, 1, 4, 4).astype("f"))
    keep = skipping.blocks_run(net, x)
    assert (keep.sum(1) == 2).all()
    # 5.5 standard errors for each of four shares: below 1e-6 together.
    assert np.abs(keep.mean(0) - 0.5).max() < 5.5 * 0.5 / math.sqrt(400)
    net.train()
    net.start_epoch(0, 5)
    assert (net.trace(x)[1].data == 1).all()
    net.start_epoch(2, 5)
    assert (net.trace(x)[1].data.sum(1) == 2).all()


def test_blocks_run_of_every_rule():
    x = Tensor(Draw(0)(4, 1, 8, 8).astype("f"))
    for _, _, build in skipping.RULES:
        keep = skipping.blocks_run(build((1, 8, 8), 3), x)
        assert keep.shape == (4, skipping.BLOCKS) and set(np.unique(keep)) <= {0, 1}


def test_the_rival_lies_on_the_line_of_its_seed():
    def row(rule, seed, blocks, accuracy):
        return {"rule": rule, "seed": seed, "blocks run": blocks, "test %": accuracy}

    rows = [
        row("at random", 0, 2, 40),
        row("at random", 0, 4, 60),
        row("all blocks", 0, 6, 90),
        row("BlockDrop", 0, 3, 99),
        row("SkipNet", 0, 3, 99),
        row("at random", 1, 2, 0),
        row("all blocks", 1, 6, 80),
    ]
    assert skipping.rival(rows, 0, 3) == 50
    assert skipping.rival(rows, 0, 5) == 75
    assert skipping.rival(rows, 1, 4) == 40


def test_scores_are_remembered_and_norms_see_images_first():
    net = meta_pruning.CroppedNet((1, 8, 8), 3)
    held = images().x_test, images().y_test
    score = pruning._scorer(net, images(), held, 1)
    first = score([1, 2, 3])
    assert net.norms[0][1].running_mean.data.any()
    assert not net.norms[0][0].running_mean.data.any()
    net.head.weight.data[...] = 0
    assert score(np.array([1, 2, 3])) == first


def test_one_ratio_for_all_keeps_the_limit():
    net = meta_pruning.CroppedNet((1, 8, 8), 3)
    widths = pruning._uniform(net)

    def cost(widths):
        return meta_pruning.madds_of(net.shape, widths, net.strides, net.classes)

    assert cost(widths) <= pruning.LIMIT * net.madds()
    wider = [-(-w * 108 // 100) for w in widths]
    assert cost(wider) > pruning.LIMIT * net.madds()


@pytest.mark.parametrize(
    "measured", [pruning.SEARCH, dc.COLLAPSE], ids=lambda m: m.name
)
def test_rows_sentences_and_picture(measured, tmp_path):
    pytest.importorskip("matplotlib")
    rows = list(measured.rows(Task(images(), True, 2)))
    assert all(isinstance(s, str) and "nan" not in s for s in measured.conclude(rows))
    path = measured.draw(rows, tmp_path / "plot.png")
    assert path.stat().st_size > 5000


def test_the_sentences_of_skipping(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        {
            "rule": rule,
            "setting": "1",
            "seed": seed,
            "blocks run": blocks,
            "ways": ways,
            "test %": accuracy + seed,
        }
        for seed in (0, 1)
        for rule, blocks, ways, accuracy in (
            ("all blocks", 6.0, 1, 90.0),
            ("SkipNet", 4.0, 3, 88.0),
            ("BlockDrop", 5.9, 2, 85.0),
            ("SkipNet", 1.0, 1, 10.0),  # the rival has no net as small
            ("at random", 2.0, 15, 70.0),
        )
    ]
    for row in rows:
        row["setting"] = {"all blocks": ""}.get(row["rule"], f"{row['blocks run']:g}")
    skip, drop = skipping.SKIP.conclude(rows)
    assert skip.startswith("SkipNet (all 6 blocks: 90.5 %): 4.0 blocks 88.5 %, 1.0")
    assert "+8.0 +- 0.0 points over 2 runs" in skip and "1 to 3" in skip
    assert "points" not in drop  # it leaves out less than half a block
    assert skipping.SKIP.draw(rows, tmp_path / "plot.png").exists()


def test_all_are_modules_that_can_be_counted():
    for experiment in (dc.EXPERTS, dc.TEMPERATURE):
        for variant in experiment.variants:
            assert experiment.count(variant, (1, 8, 8), 3).madds > 0
    assert isinstance(dc._scaled(4, 6, 2), nn.Sequential)
