"""Checkpointing: trade a second forward pass for the memory of the first."""

from .autograd import _graph, _key, _propagate, _seed, _tracked
from .errors import GradError
from .modes import enable_grad, is_grad_enabled
from .tensor import Node, Tensor


class _Recompute:
    """The op of one `checkpoint` call: runs its function again to differentiate it."""

    name, broadcasts = "checkpoint", False

    def __init__(self, fn, count):
        self.fn, self.count = fn, count

    def backward(self, node, g, wanted):
        higher = is_grad_enabled()
        xs = node.inputs[: self.count]
        if not higher:
            xs = [Tensor(x.data, x.requires_grad) if _tracked(x) else x for x in xs]
        sources = xs + node.inputs[self.count :]
        at = [i for i, x in enumerate(node.inputs) if wanted(x)]
        start = Node(None, (), {}).serial
        with enable_grad():
            y = self.fn(*xs)
        # Only what fn itself did runs backwards here: where one input was made from
        # another, the engine follows that path outside, and must not find it twice.
        nodes = [inner for inner in _graph([y])[0] if inner.serial > start]
        once = {_key(sources[i]): i for i in at}
        found = _propagate(
            [y], [_seed("checkpoint", y, g)], nodes, set(once), higher, higher
        )
        gradients = {i: found.get(key) for key, i in once.items()}
        return [gradients.get(i) for i in range(len(node.inputs))]


def checkpoint(fn, *xs) -> Tensor:
    """``fn(*xs)``, keeping only ``xs`` in memory: backward computes the rest again.

    ``fn`` must return one Tensor and do the same thing twice (no random draws inside).
    Leaves that ``fn`` closes over, such as a module's parameters, get their gradients.

    Raises: GradError if fn returns something else or closes over a non-leaf tensor.
    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """
    if not is_grad_enabled():
        return fn(*xs)
    start = Node(None, (), {}).serial
    inside = [Tensor(x.data, x.requires_grad) if _tracked(x) else x for x in xs]
    y = fn(*inside)
    if not isinstance(y, Tensor):
        raise GradError(
            f"checkpoint: fn must return one Tensor; got {type(y).__name__}"
        )
    nodes, leaves = _graph([y] if y.requires_grad else [])
    if nodes and nodes[-1].serial < start:
        raise GradError(
            "checkpoint: fn must not close over a tensor made by "
            f"{nodes[-1].op.name}; pass it as an argument"
        )
    own = {id(x) for x in inside}
    captured = [leaf for key, leaf in leaves.items() if key not in own]
    if not y.requires_grad:
        return y.detach()
    return Tensor(y.data, True, Node(_Recompute(fn, len(xs)), [*xs, *captured], {}))
