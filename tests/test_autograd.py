"""Gradients: accumulation, `grad`, `backward`, higher orders, freed graphs, errors."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import grad, stop_gradient
from minidl.errors import DtypeError, GradError, ShapeError
from minidl.tensor import Tensor


def leaf(*values, dtype="float64"):
    """A tensor that requires a gradient: a vector, or 0-d from a single value."""
    data = values[0] if len(values) == 1 else values
    return Tensor(np.array(data, dtype), requires_grad=True)


def values(tensors):
    return [None if t is None else t.data.tolist() for t in tensors]


def test_a_diamond_adds_both_paths():
    x = leaf(2.0, 3.0)
    a = x * x
    y = a * 3.0 + a * x  # 3 x^2 + x^3
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.data + 3 * x.data**2)


def test_a_deep_ladder_of_diamonds_visits_each_node_once():
    x = leaf(1.0)
    y = x
    for _ in range(200):  # 2^200 paths
        y = y + y
    assert grad(y, x)[0].item() == 2.0**200


def test_a_tensor_used_three_times():
    x = leaf(2.0)
    (x * x * x + x).backward()
    assert x.grad.item() == 13.0


def test_the_same_tensor_as_both_arguments():
    x, m = leaf(2.0, -3.0), leaf([1.0, 2.0], [3.0, 4.0])
    assert values(grad((x * x).sum(), x)) == [[4.0, -6.0]]
    assert values(grad((x - x).sum(), x)) == [[0.0, 0.0]]
    assert values(grad((m @ m).sum(), m)) == [[[7.0, 11.0], [9.0, 13.0]]]
    assert values(grad(F.cat([x, x, x]).sum(), x)) == [[3.0, 3.0]]


def test_a_broadcast_tensor_gets_the_sum():
    x, b = leaf([1.0, 2.0], [3.0, 4.0]), leaf(0.5)
    row = leaf([[1.0, 2.0]])
    (x * b + row * b).sum().backward()
    assert b.grad.data.shape == () and b.grad.item() == 16.0
    assert row.grad.shape == (1, 2) and row.grad.tolist() == [[1.0, 1.0]]


def test_grad_returns_and_backward_stores():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    assert values(grad(y, [x, w], retain_graph=True)) == [[3.0, 4.0], [1.0, 2.0]]
    assert x.grad is None and w.grad is None
    y.backward()
    assert values([x.grad, w.grad]) == [[3.0, 4.0], [1.0, 2.0]]


def test_gradients_accumulate_over_backwards():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    for times in (1, 2, 3):
        (x * w).sum().backward()
        assert values([x.grad, w.grad]) == [[3.0 * times, 4.0 * times],
                                            [1.0 * times, 2.0 * times]]
    assert not x.grad.requires_grad


def test_gradients_of_intermediates():
    x = leaf(0.5)
    a = x.sin()
    b = a.exp()
    y = b * a
    got = grad(y, [x, a, b, y])
    expected = [(y.item() + b.item()) * np.cos(0.5), y.item() + b.item(), a.item(), 1.0]
    np.testing.assert_allclose([g.item() for g in got], expected)


def test_an_intermediate_counts_paths_through_another_one():
    x = leaf(3.0)
    a = x * 2.0
    b = a * a
    assert values(grad(a * b, [a, b])) == [108.0, 6.0]  # 3 a^2; b as if given


def test_several_outputs_and_their_weights():
    x = leaf(1.0, 2.0)
    y, z = x * x, x.sum()
    g = Tensor(np.array([10.0, 100.0]))
    assert values(grad([y, z], x, [g, None], retain_graph=True)) == [[21.0, 401.0]]
    assert values(grad((y, y), (x,), (g, g.data), retain_graph=True)) == [[40.0, 800.0]]
    assert values(grad([z, y], [y, z], [None, g])) == [[10.0, 100.0], 1.0]
    with pytest.raises(GradError, match="grad_outputs must be 2"):
        grad([x.sum(), x.sum()], x, [None])


def test_unused_inputs_are_refused_or_none():
    x, other = leaf(1.0), leaf(1.0)
    y = x * 2.0
    with pytest.raises(GradError, match="allow_unused"):
        grad(y, [x, other])
    y = x * 2.0
    assert values(grad(y, [other, x], allow_unused=True)) == [None, 2.0]
    with pytest.raises(GradError, match="every input must be a tensor that requires"):
        grad(x * 2.0, Tensor(np.array(1.0)))


def test_grad_visits_only_what_leads_to_the_inputs():
    x, w = leaf(1.0), leaf(2.0)

    def refuse(*_):
        raise AssertionError("visited")

    blocked = F.exp(w)
    blocked.node.op = type("Blocked", (), {"backward": refuse, "name": "blocked"})()
    assert values(grad(x * 3.0 + blocked, x)) == [3.0]


def test_a_freed_graph_says_so():
    x = leaf(2.0)
    a = x.exp()
    y = a * x
    y.backward()
    for again in (y, a.sum()):
        with pytest.raises(GradError, match="graph behind (mul|exp) was freed.*retain"):
            again.backward()
    assert repr(y).endswith("op=mul)")


def test_retain_graph_keeps_it():
    x = leaf(2.0)
    y = x**3
    for times in (1, 2):
        y.backward(retain_graph=True)
        assert x.grad.item() == 12.0 * times
    y.backward()
    with pytest.raises(GradError, match="freed"):
        y.backward()
    y = x**3
    grad(y, x, create_graph=True)
    grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(GradError, match="freed"):
        grad(y, x)


@pytest.mark.parametrize("function, derivatives", [
    (lambda x: x**4, [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x]),
    (lambda x: x.sin(), [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)]),
    (lambda x: (x * 2.0).exp(), [lambda x, k=k: 2**k * np.exp(2 * x)
                                 for k in (1, 2, 3)]),
    (lambda x: 1.0 / x, [lambda x, c=c, k=k: c * x**k
                         for c, k in ((-1, -2), (2, -3), (-6, -4))]),
])
def test_third_derivatives(function, derivatives):
    x = leaf(0.7, 1.9)
    y = function(x)
    for derivative in derivatives:
        (y,) = grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.data, derivative(x.data), rtol=1e-12)


def test_backward_with_create_graph_makes_grad_differentiable():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.item() == 27.0
    assert values(grad(x.grad, x)) == [18.0]


def test_gradient_penalty():
    r = np.random.default_rng(0)
    w, x = leaf(r.standard_normal((3, 3))), leaf(r.standard_normal((2, 3)))

    def penalty(w):
        (g,) = grad(((x @ w).tanh() ** 2).sum(), x, create_graph=True)
        return (((g * g).sum(1).sqrt() - 1.0) ** 2).mean()

    (got,) = grad(penalty(w), w)
    for at in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[at] = 1e-6
        above, below = (penalty(Tensor(w.data + s, True)).item() for s in (step, -step))
        assert abs(got.data[at] - (above - below) / 2e-6) < 1e-7


def test_hessian_vector_product():
    r = np.random.default_rng(1)
    a, v = r.standard_normal((5, 4)), r.standard_normal(4)
    x = leaf(r.standard_normal(4))
    t = np.tanh(a @ x.data)
    hessian = a.T @ np.diag(-2 * t * (1 - t * t)) @ a
    (g,) = grad((Tensor(a) @ x).tanh().sum(), x, create_graph=True)
    (product,) = grad(g, x, Tensor(v), retain_graph=True)
    np.testing.assert_allclose(product.data, hessian @ v, rtol=1e-12)
    rows = [grad(g[i], x, retain_graph=True)[0].data for i in range(4)]
    np.testing.assert_allclose(rows, hessian, rtol=1e-12)


def test_a_gradient_with_respect_to_the_upstream_gradient():
    x, v = leaf(2.0, 3.0), leaf(1.0, 1.0)
    (g,) = grad(x * x, x, v, create_graph=True)  # linear in v: the other way round
    assert values(grad(g, [v, x], Tensor(np.array([1.0, 10.0])))) == [
        [4.0, 60.0], [2.0, 20.0]]


SHARING = {
    "sum": lambda a, b: (a + b).sum(),
    "product": lambda a, b: ((a + b) * 2.0).sum(),
    "difference": lambda a, b: ((a - b) * a).sum(),
    "views": lambda a, b: (a.reshape(2, 2) + b.reshape(2, 2).T).sum(),
    "joined": lambda a, b: F.cat([a, b]).sum(),
    "expanded": lambda a, b: (a.expand(3, 4) + b.expand(3, 4)).exp().sum(),
    "same type": lambda a, b: (a.to("float64") + b.to("cpu") + a[:]).sum(),
    "split": lambda a, b: (F.split(a, 2)[0] + b[2:]).sum(),
}


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("times", [1, 2])
def test_no_two_gradients_share_memory(name, times):
    a, b = leaf(1.0, 2.0, 3.0, 4.0), leaf(5.0, 6.0, 7.0, 8.0)
    seed = np.array(1.0)
    for _ in range(times):
        SHARING[name](a, b).backward(seed)
    arrays = [a.grad.data, b.grad.data, a.data, b.data, seed]
    for i, x in enumerate(arrays):
        for y in arrays[i + 1 :]:
            assert not np.shares_memory(x, y)
    assert a.grad.data.flags.writeable and b.grad.data.flags.writeable


def test_backward_of_a_leaf_copies_the_given_gradient():
    x, g = leaf(1.0, 2.0), np.array([3.0, 4.0])
    x.backward(g)
    g[0] = 99.0
    assert x.grad.tolist() == [3.0, 4.0]


def test_detach_and_stop_gradient():
    x = leaf(2.0, 3.0)
    for constant in (x.detach(), stop_gradient(x), (x * 1.0).detach()):
        assert not constant.requires_grad and constant.is_leaf
    assert x.detach().data is x.data
    (x * stop_gradient(x)).sum().backward()
    assert x.grad.tolist() == [2.0, 3.0]


def test_straight_through_estimator():
    x = leaf(0.2, 1.7, -2.4)
    y = x + stop_gradient(F.floor(x + 0.5) - x)  # rounds, as if it were the identity
    assert y.tolist() == [0.0, 2.0, -2.0]
    assert values(grad((y * y).sum(), x)) == [[0.0, 4.0, -4.0]]


def test_backward_needs_a_gradient_unless_scalar():
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"must be float64\(2,\); got None"):
        (x * 2.0).backward()
    (x * 2.0)[:1].backward()  # one element counts as a scalar
    assert x.grad.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("gradient, came", [
    (np.ones(3), r"float64\(3,\)"), (np.ones((2, 1)), r"float64\(2, 1\)"),
    (np.ones(2, "float32"), r"float32\(2,\)"), (np.ones(2, "int64"), r"int64\(2,\)"),
    (None, "None"), (1.0, "1.0"),
])
def test_a_wrong_gradient_is_refused(gradient, came):
    x = leaf(1.0, 2.0)
    for call in (lambda y: y.backward(gradient), lambda y: grad(y, x, gradient)):
        with pytest.raises(ShapeError, match=rf"must be float64\(2,\); got {came}"):
            call(x * 2.0)


def test_backward_of_what_requires_no_gradient():
    constant = Tensor(np.array(1.0))
    for y in (constant, constant * 2.0, F.argmax(leaf(1.0, 2.0))):
        with pytest.raises(GradError, match="output must require a gradient"):
            y.backward()


def test_only_floats_require_gradients():
    for data in (np.arange(3), np.array([True])):
        with pytest.raises(DtypeError, match="dtype must be a float"):
            Tensor(data).requires_grad_()
        with pytest.raises(DtypeError, match="dtype must be a float"):
            minidl.tensor(data, requires_grad=True)
    x = leaf(1.5, 2.5)
    whole = x.to("int64")
    assert not whole.requires_grad and not (x > 2.0).requires_grad
    y = (whole.to("float64") * 0.5 * x).sum()  # no gradient through whole numbers
    assert values(grad(y, x)) == [[0.5, 1.0]]


def test_requires_grad_switches_on_leaves_only():
    x = Tensor(np.array([1.0, 2.0]))
    assert x.requires_grad_() is x and x.requires_grad and x.is_leaf
    y = x * 2.0
    assert y.requires_grad_() is y and not y.is_leaf
    with pytest.raises(GradError, match="must be a leaf"):
        y.requires_grad_(False)
    assert not (x.requires_grad_(False) * 2.0).requires_grad


def test_gradients_return_in_the_type_of_each_leaf():
    x, w = leaf(1.0, 2.0, dtype="float32"), leaf(3.0, 4.0)
    y = (x.to("float64") * w).to("float32")
    y.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == ("float32", "float64")
    assert values([x.grad, w.grad]) == [[3.0, 4.0], [1.0, 2.0]]


def test_an_update_in_place_after_backward_is_seen_by_the_next_forward():
    x = leaf(1.0, 2.0)
    for _ in range(2):
        x.grad = None
        (x * x).sum().backward()
        x.data -= 0.25 * x.grad.data
    assert x.tolist() == [0.25, 0.5]
