"""MetaPruning: written and cropped weights, their cost, the search, its stages."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.autograd import no_grad
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import evolution
from minidl.papers import meta_pruning as mp
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer, gradcheck, gradgradcheck


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def small(**options):
    sizes = dict(widths=(4, 5), strides=(2, 1), ratios=(0.5, 0.75, 1.0))
    return mp.CroppedNet((2, 6, 5), 3, **(sizes | options)).to("float64")


# Written kernels.


def test_a_kernel_by_hand():
    kernel = mp.WrittenKernel(3, 2, 3).to("float64")
    first, second = kernel.first, kernel.second
    h = np.maximum(first.weight.data @ [0.5, 0.75] + first.bias.data, 0)
    expected = (second.weight.data @ h + second.bias.data).reshape(3, 2, 3, 3)
    assert_close(kernel(0.5, 0.75).data, expected, "float64", "kernel")


def test_the_generator_of_a_mobilenet_block():
    """512 to 512: depthwise 3x3 and pointwise, each written from two ratios."""
    weights = 512 * 9 + 512 * 512
    assert weights == 266_752
    assert mp.written_parameters(weights, 2) == 8_803_008
    assert round(8_803_008 / weights, 1) == 33.0
    kernel = mp.WrittenKernel(5, 4, 3)
    count = sum(p.data.size for p in kernel.parameters())
    assert count == mp.written_parameters(5 * 4 * 9)


def test_derivatives():
    check_layer(small(ratios=(1.0,)), images(3, 2, 4, 3))
    net, x = small(), images(3, 2, 4, 3)
    x.requires_grad_()
    gradcheck(lambda x: net(x, [1, 0]), [x])
    gradgradcheck(lambda x: net(x, [1, 0]), [x])


def test_the_full_ratio_crops_nothing():
    net, x = small().eval(), images(3, 2, 6, 5)
    assert net.channels() == [4, 5]
    h = F.conv2d(x, net.kernels[0](1.0, 1.0), stride=2, padding=1)
    h = F.relu(net.norms[0][2](h))
    h = F.conv2d(h, net.kernels[1](1.0, 1.0), padding=1)
    h = F.relu(net.norms[1][2](h))
    expected = net.head(F.mean(h, (2, 3)))
    for choice in (None, [2, 2], np.array([2, 2])):
        assert_close(net(x, choice).data, expected.data, "float64", "full")


@pytest.mark.parametrize("written", [True, False])
def test_narrow_widths_are_the_first_channels(written):
    """The plain net with the cropped weights computes the same."""
    net, x, choice = small(written=written).eval(), images(3, 2, 6, 5), [1, 0]
    assert net.channels(choice) == [3, 2]
    plain = mp.plain_net((2, 6, 5), 3, [3, 2], (2, 1)).to("float64").eval()
    plain[0].weight.data = net.kernels[0](1.0, 0.75).data[:3, :2]
    plain[3].weight.data = net.kernels[1](0.75, 0.5).data[:2, :3]
    plain[1].load_state_dict(net.norms[0][1].state_dict())
    plain[4].load_state_dict(net.norms[1][0].state_dict())
    plain[7].weight.data = net.head.weight.data[:, :2]
    plain[7].bias.data = net.head.bias.data
    assert_close(net(x, choice).data, plain(x).data, "float64", "cropped")


def test_beyond_the_crop_gradients_are_zero():
    net = small(written=False)
    net(images(4, 2, 6, 5), [1, 0]).backward(images(4, 3, seed=3))
    first, second = (k.weight.grad.data for k in net.kernels)
    assert first[:3].any() and not first[3:].any()
    assert second[:2, :3].any() and not second[2:].any() and not second[:, 3:].any()
    assert not net.head.weight.grad.data[:, 2:].any()
    for row, used in zip(net.norms, (1, 0)):
        for i, norm in enumerate(row):
            assert (norm.weight.grad is not None) == (i == used)


@pytest.mark.parametrize("choice", [None, [0, 0], [2, 1], [1, 2]])
def test_the_cost_is_that_of_the_plain_net(choice):
    net = small()
    plain = mp.plain_net((2, 6, 5), 3, net.channels(choice), (2, 1))
    assert net.madds(choice) == nn.count(plain, (2, 6, 5)).madds


def test_ratios_are_drawn_evenly():
    net = small()
    drawn = np.array([net.drawn() for _ in range(3000)])
    for i in range(2):
        share = np.bincount(drawn[:, i], minlength=3) / 3000
        # 5.5 standard errors: together six shares fail once in 4 million.
        assert np.abs(share - 1 / 3).max() < 5.5 * np.sqrt(2 / 9 / 3000)


def test_recalibrated_statistics_are_the_means_of_the_batches():
    net, choice = small(), [1, 2]
    net.norms[0][1].running_mean.data[...] = 100.0  # stale
    other = {k: v.data.copy() for k, v in net.norms[0][0].state_dict().items()}
    weights = {k: p.data.copy() for k, p in net.named_parameters()}
    batches = [images(4, 2, 6, 5, seed=i) for i in range(3)]
    net.eval()
    mp.recalibrate(net, choice, batches)
    assert not net.training
    h = [
        F.conv2d(b, net.kernels[0](1.0, 0.75)[:3], stride=2, padding=1) for b in batches
    ]
    mean = np.mean([v.data.mean((0, 2, 3)) for v in h], axis=0)
    var = np.mean([v.data.var((0, 2, 3), ddof=1) for v in h], axis=0)
    norm = net.norms[0][1]
    assert_close(norm.running_mean.data, mean, "float64", "mean")
    assert_close(norm.running_var.data, var, "float64", "variance")
    assert norm.momentum == 0.1
    for k, v in net.norms[0][0].state_dict().items():
        assert np.array_equal(other[k], v.data)
    assert all(np.array_equal(weights[k], p.data) for k, p in net.named_parameters())
    assert all(p.grad is None for p in net.parameters())


# The search.


def fits(limit):
    return lambda genes: genes.sum() <= limit


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_every_candidate_keeps_the_limit(limit):
    population = evolution.first_population(40, 5, 6, fits(limit))
    for _ in range(5):
        assert population.shape == (40, 5)
        assert population.min() >= 0 and population.max() <= 5
        assert (population.sum(1) <= limit).all()
        scores = population @ np.arange(5)
        population = evolution.next_population(
            population, scores, 6, fits(limit), 8, 16, 12
        )


def test_parents_are_the_best_and_come_first():
    population = np.arange(12).reshape(6, 2) % 4
    scores = np.array([3, 9, 1, 9, 5, 0])
    bred = evolution.next_population(population, scores, 4, fits(99), 3, 2, 1)
    assert np.array_equal(bred[:3], population[[1, 3, 4]])


def test_where_the_others_come_from():
    """One parent: crossed are copies of it; mutants differ with probability p."""
    population = np.zeros((2000, 4), np.int64)
    scores = np.zeros(2000)
    kinds = 1, 900, 900
    bred = evolution.next_population(population, scores, 5, fits(99), *kinds, p=0.3)
    assert not bred[901:1801].any()
    changed = (bred[1:901] != 0).mean()
    expected = 0.3 * 4 / 5  # drawn anew, it is the same in one case of five
    assert abs(changed - expected) < 5.5 * np.sqrt(expected * (1 - expected) / 3600)
    share = (bred[1801:] != 0).mean()
    assert abs(share - 0.8) < 5.5 * np.sqrt(0.16 / (199 * 4))


def test_crossed_take_each_gene_from_one_of_two_parents():
    population = np.array([[0] * 6, [1] * 6] + [[2] * 6] * 398)
    scores = np.array([2, 2] + [0] * 398)
    bred = evolution.next_population(population, scores, 3, fits(99), 2, 0, 398)
    assert set(np.unique(bred)) == {0, 1}
    mixed = (bred.min(1) != bred.max(1)).mean()
    # Half of the pairs are two different parents; 2 of 64 draws of genes are pure.
    assert abs(mixed - 0.5 * 62 / 64) < 5.5 * 0.5 / np.sqrt(398)


def test_the_search_finds_the_best():
    target = np.array([3, 0, 5, 2, 4])

    def score(population):
        return -np.abs(population - target).sum(1)

    population = evolution.first_population(50, 5, 6, fits(99))
    first = score(population).max()
    for _ in range(25):
        population = evolution.next_population(
            population, score(population), 6, fits(99), 10, 20, 15
        )
    assert first < 0 and np.array_equal(population[0], target)


# All in one run.


def trained(model, epochs=4, batches=6):
    """Some epochs on few images; the stages that were seen, one a batch."""
    optimizer = minidl.optim.Adam(model.parameters(), 0.01)
    seen = []
    for epoch in range(epochs):
        model.train()
        model.start_epoch(epoch, epochs)
        for i in range(batches):
            x = images(8, 1, 8, 8, seed=i)
            _, loss = model.objective(x, Tensor(np.arange(8) % 3))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(model.status())
    return seen


def pruned(**options):
    return mp.MetaPruned((1, 8, 8), 3, **({"size": 10, "batches": 2} | options)).to(
        "float64"
    )


def test_a_run_goes_through_its_stages():
    model = pruned()
    seen = trained(model)
    assert seen[:6] == ["train for any widths"] * 6
    assert seen[6] == "search, generation 1"
    assert seen[8].startswith("search, generation 2, ")
    assert seen[8].endswith(" % of the MAdds")
    assert all(line.startswith("retrain ") for line in seen[12:])
    choice = model.choice()
    assert model.writer.madds(choice) <= 0.4 * model.writer.madds()
    channels = "-".join(map(str, model.writer.channels(choice)))
    assert channels in seen[-1]


def test_candidates_are_counted_on_each_batch():
    model = pruned(batches=3)
    model.start_epoch(0, 10)
    model.start_epoch(3, 10)
    population = model.population.data.copy()
    assert all(model._fits(row) for row in population)
    expected = np.zeros(10, np.int64)
    for i in range(2):
        x, y = images(8, 1, 8, 8, seed=i), Tensor(np.arange(8) % 3)
        with no_grad():
            for n, row in enumerate(population):
                expected[n] += (model.writer(x, row).data.argmax(1) == y.data).sum()
        model.objective(x, y)
    assert np.array_equal(model.hits.data, expected)
    assert model.counts.data.tolist() == [1, 0, 2, 16]
    most = model.hits.data.max()
    model.objective(images(2, 1, 8, 8, seed=2), Tensor(np.arange(2)))  # an epoch's rest
    assert model.counts.data.tolist() == [1, 1, 0, 0] and not model.hits.data.any()
    assert most / 18 <= model.best <= (most + 2) / 18
    assert model.choice() in population.tolist()
    assert np.array_equal(model.population.data[0], model.choice())


def test_a_search_that_was_interrupted_goes_on():
    whole, halves = pruned(), pruned()
    halves.load_state_dict(whole.state_dict())
    y = Tensor(np.arange(8) % 3)

    def step(model, i):
        model.objective(images(8, 1, 8, 8, seed=i), y)

    minidl.manual_seed(1)
    whole.start_epoch(3, 10)
    for i in range(5):
        step(whole, i)
    minidl.manual_seed(1)
    halves.start_epoch(3, 10)
    for i in range(3):
        step(halves, i)
    state, kept = halves.state_dict(), minidl.random.get_state()
    again = pruned()
    again.load_state_dict(state)
    minidl.random.set_state(kept)
    again.start_epoch(3, 10)
    for i in range(3, 5):
        step(again, i)
    for k, v in whole.state_dict().items():
        assert np.array_equal(v.data, again.state_dict()[k].data), k


def test_what_is_read_back_is_the_pruned_net():
    model, x = pruned(), images(4, 1, 8, 8)
    full = model.eval()(x).data
    assert np.array_equal(full, model.writer(x).data)
    trained(model)
    other = pruned()
    other.load_state_dict(model.state_dict())
    expected = model.pruned.eval()(x, model.choice()).data
    assert np.array_equal(other.eval()(x).data, expected)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: small(ratios=(0.5, 0.9)), ArgumentError, "ratios must rise"),
        (lambda: small(ratios=(0.5, 0.5, 1)), ArgumentError, "ratios must rise"),
        (lambda: small(ratios=(0, 1)), ArgumentError, "ratios must rise"),
        (lambda: small(ratios=()), ArgumentError, "ratios must rise"),
        (lambda: small(ratios=(0.1, 1)), ArgumentError, "at least one of 4 channels"),
        (lambda: small(strides=(1,)), ArgumentError, "2 widths; got 1"),
        (
            lambda: small()(images(1, 2, 6, 5), [3, 0]),
            ArgumentError,
            r"2 indices of ratios, 0 to 2; got \[3, 0\]",
        ),
        (lambda: small().madds([0]), ArgumentError, "2 indices of ratios"),
        (lambda: small().channels([-1, 0]), ArgumentError, "2 indices of ratios"),
        (lambda: mp.recalibrate(small(), [0, 0], []), ArgumentError, "got none"),
        (
            lambda: pruned(limit=0.01),
            ArgumentError,
            r"smallest net in, 0\.\d+ of the full one's multiply-adds; got 0.01",
        ),
        (lambda: pruned(limit=2), ArgumentError, "limit must be a number"),
        (lambda: pruned(size=4), ArgumentError, "size must be an integer >= 5"),
        (lambda: pruned(batches=0), ArgumentError, "batches must be an integer"),
        (
            lambda: evolution.first_population(3, 2, 4, lambda genes: False),
            ArgumentError,
            "smallest candidate",
        ),
        (
            lambda: evolution.next_population(
                np.zeros((3, 2), int), np.zeros(3), 4, fits(9), 2, 1, 1
            ),
            ArgumentError,
            r"at most 3 together; got 2 \+ 1 \+ 1",
        ),
        (
            lambda: evolution.next_population(
                np.zeros((3, 2), int), np.zeros(2), 4, fits(9), 1, 1, 1
            ),
            ShapeError,
            r"scores must be \(3,\)",
        ),
        (
            lambda: evolution.next_population(
                np.zeros((3, 2), int), np.zeros(3), 4, fits(9), 1, 1, 1, p=2
            ),
            ArgumentError,
            "p must be a number",
        ),
        (lambda: models.create("metapruning", (1, 3, 9)), ShapeError, "at least 4x4"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
