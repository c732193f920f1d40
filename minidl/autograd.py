"""Reverse-mode differentiation, to any order.

Running a graph backwards calls the vjps of its ops; they are ops on Tensors, so the run
itself builds, when asked, a graph of the same kind.
"""

from operator import attrgetter

from . import backend, checks
from .errors import AnomalyError, GradError, ShapeError
from .modes import (
    Switch,
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    no_grad,
    watch_ops,
)
from .primitive import REGISTRY, Primitive, primitive
from .samples import S
from .tensor import Tensor

__all__ = [
    "REGISTRY", "Primitive", "backward", "detect_anomaly", "enable_grad", "grad",
    "is_grad_enabled", "no_grad", "primitive", "watch_ops",
]


def _tracked(x):
    return isinstance(x, Tensor) and x.requires_grad


_serial = attrgetter("serial")


def _key(x):
    return id(x.node or x)


def _graph(outputs):
    """The nodes behind ``outputs``, newest first, and the leaves they start from."""
    nodes, leaves, stack = {}, {}, list(outputs)
    while stack:
        x = stack.pop()
        if x.node is None:
            leaves[id(x)] = x
        elif id(x.node) not in nodes:
            if x.node.inputs is None:
                raise GradError(f"backward: graph behind {x.node.op.name} was freed; "
                                "give the earlier backward retain_graph=True")
            nodes[id(x.node)] = x.node
            stack.extend(filter(_tracked, x.node.inputs))
    return sorted(nodes.values(), key=_serial, reverse=True), leaves


def _propagate(outputs, seeds, nodes, targets, retain_graph, create_graph):
    """Gradients by key at ``targets`` (None: all leaves), visiting what leads there."""
    wanted, grads, found = _tracked, {}, {}
    if targets is not None:
        needed = set(targets)
        for node in reversed(nodes):
            if any(_tracked(x) and _key(x) in needed for x in node.inputs):
                needed.add(id(node))
        wanted = lambda x: _tracked(x) and _key(x) in needed
    with Switch(record=create_graph):
        for y, seed in zip(outputs, seeds):
            grads[_key(y)] = add(grads[_key(y)], seed) if _key(y) in grads else seed
        for node in nodes:
            g = grads.pop(id(node), None)
            if g is None:
                continue
            if targets is not None:
                if id(node) in targets:
                    found[id(node)] = g
                if id(node) not in needed:
                    continue
            for x, gx in zip(node.inputs, _input_gradients(node, g, wanted)):
                if gx is not None:
                    key = id(x.node or x)
                    grads[key] = add(grads[key], gx) if key in grads else gx
            if not retain_graph:
                node.release()
    return found | grads


def _input_gradients(node, g, wanted):
    """What flows to each input of one node, summed over axes that were broadcast."""
    op = node.op
    try:
        gradients = op.backward(node, g, wanted)
    except AnomalyError as error:
        raise AnomalyError(f"backward of {op.name}: {error}") from None
    for i, gx in enumerate(gradients):
        if gx is not None:
            x = node.inputs[i].data
            if op.broadcasts and gx.data.shape != x.shape:
                gradients[i] = gx = sum_to(gx, shape=x.shape)
            if gx.data.shape != x.shape or gx.data.dtype is not x.dtype:
                checks.check_gradient(op, i, x, gx)
    return gradients


def _seed(where, y, g):
    """The gradient to start from at output ``y``: as given, or 1 for a scalar."""
    if not _tracked(y):
        raise GradError(f"{where}: output must require a gradient; it was made without "
                        "any tensor that does, or under no_grad")
    if g is None and y.numel() == 1:
        return Tensor(backend.xp_of(y.data).ones(y.shape, y.dtype))
    g = Tensor(g) if backend.is_array(g) else g
    if not isinstance(g, Tensor) or g.shape != y.shape or g.dtype != y.dtype:
        came = f"{g.dtype}{g.shape}" if isinstance(g, Tensor) else f"{g!r:.40}"
        raise ShapeError(f"{where}: gradient of the output must be {y.dtype}{y.shape}; "
                         f"got {came}")
    return g


def grad(outputs, inputs, grad_outputs=None, *, retain_graph=None, create_graph=False,
         allow_unused=False) -> tuple:
    """Gradients of ``outputs`` with respect to each of ``inputs``, as a tuple.

    ``sum_k grad_outputs[k] * d outputs[k] / d inputs``; ``create_graph`` makes them
    differentiable; the graph is freed unless ``retain_graph`` (default: create_graph).

    Raises: GradError where an output or input is not part of a graph.
    """
    outputs, inputs, given = (
        list(x) if isinstance(x, list | tuple) else [x]
        for x in (outputs, inputs, grad_outputs)
    )
    given = [None] * len(outputs) if grad_outputs is None else given
    if len(given) != len(outputs):
        raise GradError(f"grad: grad_outputs must be {len(outputs)}, one for each "
                        f"output; got {len(given)}")
    seeds = [_seed("grad", y, g) for y, g in zip(outputs, given)]
    if not all(map(_tracked, inputs)):
        raise GradError("grad: every input must be a tensor that requires a gradient")
    found = _propagate(outputs, seeds, _graph(outputs)[0], {_key(x) for x in inputs},
                       create_graph if retain_graph is None else retain_graph,
                       create_graph)
    gradients = tuple(found.get(_key(x)) for x in inputs)
    if not allow_unused and any(g is None for g in gradients):
        raise GradError("grad: every input must be part of the graph of the outputs; "
                        "pass allow_unused=True to get None where one is not")
    return gradients


def backward(output, gradient=None, *, retain_graph=None, create_graph=False) -> None:
    """Add the gradient of ``output`` to ``.grad`` of every leaf behind it."""
    seed = _seed("backward", output, gradient)
    nodes, leaves = _graph([output])
    found = _propagate([output], [seed], nodes, None,
                       create_graph if retain_graph is None else retain_graph,
                       create_graph)
    owned = {id(seed.data)}
    for key, g in found.items():
        leaf = leaves[key]
        if leaf.grad is not None:
            with Switch(record=create_graph):
                g = add(leaf.grad, g)
        elif not create_graph and (id(g.data) in owned or g.data.base is not None):
            g = Tensor(g.data.copy())  # optimisers write in place: share with nobody
        owned.add(id(g.data))
        leaf.grad = g


Tensor.backward = backward


# The three ops that differentiation itself needs: gradients add up where a tensor is
# used twice, and are summed where it was broadcast.


@primitive(
    samples=lambda r: [S(r(3, 4), r(3, 4)), S(r(3, 1), r(4)), S(r(2, 3), 2.0),
                       S(0.5, r(2)), S(r(0, 3), r(1, 3))],
    broadcasts=True,
)
def add(x, y):
    """``x + y``, broadcasting."""
    return x + y


@primitive(
    samples=lambda r: [S(r(2, 3, 4), shape=(3, 1)), S(r(3, 4), shape=(3, 4)),
                       S(r(2), shape=())],
    linear=True,
)
def sum_to(x, *, shape):
    """Sum ``x`` over the axes along which ``shape`` would have been broadcast."""
    lead = x.ndim - len(shape)
    axes = tuple(i for i in range(x.ndim) if i < lead or shape[i - lead] != x.shape[i])
    return x.sum(axis=axes, keepdims=True).reshape(shape) if axes else x


@primitive(
    samples=lambda r: [S(r(3, 1), shape=(2, 3, 4)), S(r(4), shape=(4,)),
                       S(r(1, 2), shape=(0, 2))],
    linear=True,
)
def broadcast_to(x, *, shape):
    """``x`` repeated along new and size-1 axes to ``shape``."""
    return backend.xp_of(x).broadcast_to(x, shape)


add.defvjp(lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)
sum_to.defvjp(lambda g, _y, _x, *, shape: broadcast_to(g, shape=_x.shape))
broadcast_to.defvjp(lambda g, _y, _x, *, shape: sum_to(g, shape=_x.shape))
