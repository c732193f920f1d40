"""Routing networks: the simplex, the weighted policy learner, and routed layers."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import routing_network as rn
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def small(choices=3, tasks=2, each=2):
    def block():
        return nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    layers = [
        [block() for _ in range(choices)],
        [nn.Linear(4, each) for _ in range(choices)],
    ]
    trunk = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
    return rn.RoutingNetwork(trunk, layers, tasks, each).to("float64")


def fixed(model, routes):
    """Every task takes these blocks, drawn or not."""
    model.router.table.data[...] = np.eye(3)[np.array(routes)]
    return model


# The learner.


def test_the_simplex_by_hand():
    for v, expected in [
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ([2.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.8, 0.8, -1.0], [0.5, 0.5, 0.0]),
        ([0.0, 0.0, 0.0], [1 / 3] * 3),
        ([-5.0], [1.0]),
    ]:
        assert_close(rn.simplex(np.array(v)), np.array(expected), "float64", str(v))


def test_the_simplex_is_the_nearest_point():
    """Beside 20,000 others, and by bisection for theta."""
    rng = np.random.default_rng(0)
    v = rng.normal(0, 1, (6, 4))
    found = rn.simplex(v)
    assert (found >= 0).all()
    assert_close(found.sum(1), np.ones(6), "float64", "sum")
    others = rng.dirichlet(np.ones(4), 20_000)
    for row, point in zip(v, found):
        assert ((others - row) ** 2).sum(1).min() >= ((point - row) ** 2).sum()
        low, high = row.min() - 1, row.max()
        for _ in range(80):
            middle = (low + high) / 2
            above = np.maximum(row - middle, 0).sum() > 1
            low, high = (middle, high) if above else (low, middle)
        assert np.abs(np.maximum(row - low, 0) - point).max() < 1e-12


def test_the_weighted_policy_by_hand():
    pi = np.array([0.5, 0.3, 0.2])
    up = rn.weighted_policy(pi, np.array([0.0, 0.0, 1.0]), 0.5)
    raised = np.array([0.5, 0.3, 0.2 + 0.5 * 1.0 * 0.8])
    assert_close(up, raised - 0.4 / 3, "float64", "a gain")
    down = rn.weighted_policy(pi, np.array([0.0, -1.0, 0.0]), 0.5)
    lowered = np.array([0.5, 0.3 - 0.5 * 1.0 * 0.3, 0.2])
    assert_close(down, lowered + 0.15 / 3, "float64", "a loss")
    sure = np.array([1.0, 0.0, 0.0])
    still = rn.weighted_policy(sure, np.array([1.0, -1.0, 0.0]), 0.5)
    assert_close(still, sure, "float64", "sure already")


def test_what_a_router_learns_row_by_row():
    router = rn.Router(3, 2, 3, lr=0.2, rho=0.5, decay=0.9).to("float64")
    rng = np.random.default_rng(1)
    table = rng.dirichlet(np.ones(3), (3, 2))
    usage = rng.dirichlet(np.ones(3), (3, 2))
    mean = rng.normal(size=3)
    for buffer, values in (
        (router.table, table),
        (router.usage, usage),
        (router.mean, mean),
    ):
        buffer.data[...] = values
    tasks = np.array([0, 0, 2, 0, 2])  # task 1 does not come
    actions = rng.integers(3, size=(5, 2))
    reward = rng.choice([-1.0, 1.0], 5)
    router.learn(Tensor(tasks), Tensor(actions), Tensor(reward))
    new_table, new_usage, new_mean = table.copy(), usage.copy(), mean.copy()
    for t in (0, 2):
        rows = [n for n in range(5) if tasks[n] == t]
        everything = []
        for d in range(2):
            advantage = np.zeros(3)
            for a in range(3):
                took = [n for n in rows if actions[n, d] == a]
                returns = [
                    reward[n]
                    + 0.5 * sum(usage[t, j, actions[n, j]] for j in range(d, 2))
                    for n in took
                ]
                everything += returns
                if took:
                    advantage[a] = np.mean(returns) - mean[t]
                new_usage[t, d, a] = 0.9 * usage[t, d, a] + 0.1 * len(took) / len(rows)
            factor = np.where(advantage < 0, table[t, d], 1 - table[t, d])
            new_table[t, d] = rn.simplex(table[t, d] + 0.2 * advantage * factor)
        new_mean[t] = 0.9 * mean[t] + 0.1 * np.mean(everything)
    assert_close(router.table.data, new_table, "float64", "table")
    assert_close(router.usage.data, new_usage, "float64", "usage")
    assert_close(router.mean.data, new_mean, "float64", "mean")


def test_a_router_finds_the_way_that_pays():
    router = rn.Router(2, 2, 3, lr=0.05, rho=0.0)
    best = np.array([[2, 0], [1, 1]])
    tasks = Tensor(np.arange(64) % 2)
    for _ in range(400):
        actions = router.draw(tasks)
        right = (actions.data == best[tasks.data]).mean(1)
        router.learn(tasks, actions, Tensor((2 * right - 1).astype(np.float32)))
    assert np.array_equal(router.likeliest(Tensor(np.arange(2))).data, best)
    assert router.table.data.max(-1).min() > 0.9
    router.table.data[...] = [[[0.5, 0.5, 0], [0, 0.25, 0.75]]] * 2
    assert router.status() == "routes 62 % sure"


def test_draws_follow_the_table():
    router = rn.Router(1, 2, 3).to("float64")
    router.table.data[0] = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]
    drawn = router.draw(Tensor(np.zeros(4000, np.int64))).data
    for d in range(2):
        p = router.table.data[0, d]
        share = np.bincount(drawn[:, d], minlength=3) / 4000
        error = np.sqrt(p * (1 - p) / 4000)
        assert (np.abs(share - p) <= 5.5 * error).all()  # six times below 1e-7


# The network.


def test_a_route_is_the_plain_perceptron():
    model, x = fixed(small(), [[2, 0], [1, 1]]), images(4, 5)
    for training in (True, False):
        y = model.train(training)(x).data
        for t, (first, last) in enumerate(((2, 0), (1, 1))):
            h = model.layers[0][first](model.trunk(x))
            answer = model.layers[1][last](h).data
            assert_close(y[:, 2 * t : 2 * t + 2], answer, "float64", f"task {t}")


def test_one_block_a_layer_is_the_plain_perceptron_repeated():
    model, x = small(choices=1), images(4, 5)
    plain = model.layers[1][0](model.layers[0][0](model.trunk(x))).data
    assert_close(model(x).data, np.tile(plain, 2), "float64", "one block")


def test_blocks_that_were_not_taken_get_no_gradient():
    model = fixed(small(), [[2, 0], [1, 0]])
    model.router.lr = 0.0
    _, loss = model.objective(images(6, 5), Tensor(np.arange(6) % 4))
    loss.backward()
    for d, taken in ((0, {1, 2}), (1, {0})):
        for a, block in enumerate(model.layers[d]):
            for p in block.parameters():
                assert (p.grad is not None and p.grad.data.any()) == (a in taken)


def test_gradients_are_those_of_the_way_taken():
    model, x, g = fixed(small(), [[2, 0], [1, 0]]), images(4, 5), images(4, 4, seed=1)
    model(x).backward(g)
    found = {k: p.grad.data for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    h = model.trunk(x)
    ways = [model.layers[1][0](model.layers[0][a](h)) for a in (2, 1)]
    F.concatenate(ways, 1).backward(g)
    for k, p in model.named_parameters():
        assert (k in found) == (p.grad is not None)
        if k in found:
            assert_close(found[k], p.grad.data, "float64", k)


def test_the_router_learns_from_an_images_own_task():
    model, x = small(), images(6, 5)
    y = np.array([0, 1, 2, 3, 1, 2])
    model.start_epoch(0, 1)
    minidl.manual_seed(4)
    logits, actions = model.trace(x)
    tasks = y // 2
    own = actions.data.reshape(6, 2, 2)[range(6), tasks]
    right = logits.data.argmax(1) == y
    assert 0 < right.sum() < 6
    other = rn.Router(2, 2, 3, 0.1, 1.0).to("float64")
    other.load_state_dict(model.router.state_dict())
    other.learn(Tensor(tasks), Tensor(own), Tensor(2.0 * right - 1))
    minidl.manual_seed(4)
    again, loss = model.objective(x, Tensor(y))
    assert np.array_equal(again.data, logits.data)
    expected = F.cross_entropy(logits, Tensor(y)).data
    assert_close(loss.data, expected, "float64", "loss")
    for (k, a), (_, b) in zip(other.named_buffers(), model.router.named_buffers()):
        assert_close(b.data, a.data, "float64", k)


def test_out_of_training_the_likeliest_way_is_taken():
    model, x = small().eval(), images(5, 5)
    model.router.table.data[...] = [[[0.4, 0.3, 0.3], [0.2, 0.4, 0.4]]] * 2
    y = model(x).data
    assert np.array_equal(y, model(x).data)
    expected = model.layers[1][1](model.layers[0][0](model.trunk(x))).data
    assert_close(y, np.tile(expected, 2), "float64", "likeliest")


@pytest.mark.parametrize("classes, tasks", [(10, 5), (7, 7), (2, 1)])
def test_the_small_model_pairs_its_classes(classes, tasks):
    model = models.create("routing", (1, 8, 8), classes)
    assert model.tasks == tasks
    assert model.eval()(Tensor(np.ones((2, 1, 8, 8), "f"))).shape == (2, classes)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: rn.Router(0, 2, 3), ArgumentError, "tasks must be an integer"),
        (lambda: rn.Router(1, 2, 0), ArgumentError, "choices must be an integer"),
        (lambda: rn.Router(1, 2, 3, lr=-1), ArgumentError, "lr must be a number"),
        (lambda: rn.Router(1, 2, 3, rho=-1), ArgumentError, "rho must be a number"),
        (lambda: rn.Router(1, 2, 3, decay=2), ArgumentError, "decay must be a number"),
        (
            lambda: rn.Router(1, 2, 3).learn(
                Tensor(np.zeros(4, int)),
                Tensor(np.zeros((4, 3), int)),
                Tensor(np.zeros(4)),
            ),
            ShapeError,
            r"actions must be \(R, 2\) and reward \(R,\) for 4 rows; got \(4, 3\)",
        ),
        (
            lambda: rn.RoutingNetwork(
                nn.Identity(), [[nn.Identity()], [nn.Identity()] * 2], 2, 2
            ),
            ArgumentError,
            r"as many blocks; got \[1, 2\]",
        ),
        (lambda: models.create("routing", (1, 3, 3)), ShapeError, "at least 4x4"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
