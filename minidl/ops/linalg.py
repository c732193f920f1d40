"""Products of matrices and of tensors: matmul, linear and einsum."""

from ..autograd import primitive
from ..backend import xp_of
from ..errors import ShapeError
from ..samples import E, S
from .shape import permute


def _swap(x):
    """The last two axes exchanged."""
    n = len(x.shape)
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


@primitive(
    samples=lambda r: [
        S(r(3, 4), r(4, 5)),
        S(r(2, 3, 4), r(2, 4, 5)),
        S(r(2, 1, 3, 4), r(5, 4, 2)),
        S(r(3, 4), r(2, 4, 1)),
        S(r(3, 0), r(0, 2)),
    ],
    linear=True,
    broadcasts=True,
    errors=lambda r: [
        E(ShapeError, "inner sizes must agree", r(3, 4), r(3, 4)),
        E(ShapeError, "at least 2-D", r(3), r(3, 4)),
        E(ShapeError, "must broadcast", r(2, 3, 4), r(3, 4, 5)),
    ],
)
def matrix_multiply(x, y):
    """``x @ y`` for stacks of matrices: (..., n, k) by (..., k, m)."""
    if x.ndim < 2 or y.ndim < 2:
        raise ShapeError(
            f"matmul: tensors must be at least 2-D; got {x.shape}, {y.shape}"
        )
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"matmul: inner sizes must agree; got {x.shape} @ {y.shape}")
    return x @ y


@primitive(
    samples=lambda r: [
        S(r(3, 4), r(5, 4), r(5)),
        S(r(2, 3, 4), r(5, 4)),
        S(r(4), r(5, 4), r(5)),
        S(r(0, 4), r(5, 4), r(5)),
    ],
    errors=lambda r: [
        E(ShapeError, "weight must be (out, 4)", r(3, 4), r(4, 5)),
        E(ShapeError, "bias must be (5,)", r(3, 4), r(5, 4), r(3)),
    ],
)
def linear(x, weight, bias=None):
    """``y = x weight^T + bias``: x (..., in), weight (out, in), bias (out,)."""
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        came = x.shape[-1] if x.ndim else "()"
        raise ShapeError(
            f"linear: weight must be (out, {came}) for input {x.shape}; "
            f"got {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must be {weight.shape[:1]}; got {bias.shape}")
    y = x @ weight.T
    if bias is not None:
        y += bias
    return y


@primitive(
    samples=lambda r: [
        S(r(3, 4), r(4, 5), subscripts="ab,bc->ac"),
        S(r(2, 3, 4), subscripts="abc->ca"),
        S(r(3), r(4), subscripts="a,b->ab"),
        S(r(2, 3), r(2, 4), r(3, 4), subscripts="ab,ac,bc->c"),
        S(r(3, 4), r(4), subscripts="ab,c->a"),
    ],
    linear=True,
)
def contract(*xs, subscripts):
    """einsum with explicit output and no label twice in one operand."""
    return xp_of(*xs).einsum(subscripts, *xs, optimize=len(xs) > 1)


def _flat(x):
    return x if len(x.shape) == 2 else x.reshape(-1, x.shape[-1])


def _linear_weight(g, _y, x, _weight, _bias):
    if len(x.shape) == 1:
        return matrix_multiply(g.reshape(-1, 1), x.reshape(1, -1))
    return matrix_multiply(_swap(_flat(g)), _flat(x))


def _linear_input(g, _y, _x, weight, _bias):
    if len(_x.shape) == 1:
        return matrix_multiply(g.reshape(1, -1), weight).reshape(-1)
    return matrix_multiply(g, weight)


def _contract_vjp(i, g, _y, *xs, subscripts):
    """The gradient contracts g with all others; axes summed alone come back as ones."""
    inputs, out = subscripts.split("->")
    labels = inputs.split(",")
    others = [(s, x) for k, (s, x) in enumerate(zip(labels, xs)) if k != i]
    present = set(out).union(*(s for s, _ in others))
    for label, n in zip(labels[i], xs[i].shape):
        if label not in present:
            others.append((label, xp_of(g.data).ones(n, g.dtype)))
    names = ",".join([out, *(s for s, _ in others)])
    return contract(g, *(x for _, x in others), subscripts=f"{names}->{labels[i]}")


matrix_multiply.defvjp(
    lambda g, _y, _a, b: matrix_multiply(g, _swap(b)),
    lambda g, _y, a, _b: matrix_multiply(_swap(a), g),
)
linear.defvjp(
    _linear_input,
    _linear_weight,
    lambda g, _y, _x, _weight, _bias: g.sum(dim=tuple(range(len(g.shape) - 1))),
)
contract.defvjp(_contract_vjp)
