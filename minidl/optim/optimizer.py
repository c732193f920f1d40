"""What all optimisers share: groups of parameters, their state, saving and loading."""

from collections.abc import Iterable

import numpy as np

from .. import backend
from ..errors import (
    ArgumentError,
    BackendError,
    CheckpointError,
    DtypeError,
    ShapeError,
)
from ..tensor import Tensor


class Optimizer:
    """Parameters in groups, each with its own hyper-parameters, and their state.

    ``params`` are Tensors, or dicts of "params" and what differs from the defaults in
    that group. A subclass says which arrays of state a group needs and defines the
    update on arrays; ``state["step"]`` counts the parameter's updates, with this one.
    Move a model to its device and dtype before the first step: state is made there.

    Raises: ArgumentError without parameters, for one given twice, for values out of
    range; DtypeError for parameters that are not floats.
    """

    ranges: dict[str, float] = {}  # hyper-parameter: it must be in [0, this)

    def __init__(self, params: Iterable, **defaults):
        self.name = type(self).__name__
        if isinstance(params, Tensor):
            raise ArgumentError(
                f"{self.name}: params must be an iterable of Tensors; got one Tensor"
            )
        params = list(params)
        if not params:
            raise ArgumentError(f"{self.name}: params must not be empty; got none")
        if not isinstance(params[0], dict):
            params = [{"params": params}]
        self.defaults, self.param_groups = defaults, []
        self.state: dict[tuple[int, int], dict] = {}  # (group, index): arrays and step
        for group in params:
            self.add_param_group(group)

    def add_param_group(self, group: dict) -> None:
        """Add a group: "params" and what differs from the defaults."""
        params = group.get("params", ()) if isinstance(group, dict) else ()
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ArgumentError(
                f"{self.name}: group must be a dict with some params; got {group!r:.60}"
            )
        if unknown := group.keys() - self.defaults.keys() - {"params"}:
            raise ArgumentError(
                f"{self.name}: group must hold only params, "
                f"{', '.join(self.defaults)}; got {', '.join(unknown)}"
            )
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                kind = (
                    "the result of an op" if isinstance(p, Tensor) else type(p).__name__
                )
                raise ArgumentError(
                    f"{self.name}: params must be leaf Tensors; got {kind}"
                )
            if p.dtype.kind != "f":
                raise DtypeError(f"{self.name}: params must be floats; got {p.dtype}")
            if id(p) in seen:
                raise ArgumentError(
                    f"{self.name}: params must be given once; got one of "
                    f"shape {p.shape} twice"
                )
            seen.add(id(p))
        group = self.defaults | group | {"params": params}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict) -> None:
        """Raise ArgumentError unless the group's hyper-parameters are in range."""
        for name, limit in self.ranges.items():
            values = (
                group[name] if isinstance(group[name], tuple | list) else [group[name]]
            )
            for value in values:
                if not isinstance(value, int | float) or not 0 <= value < limit:
                    raise ArgumentError(
                        f"{self.name}: {name} must be in [0, {limit}); "
                        f"got {group[name]!r}"
                    )

    def slots(self, group: dict) -> tuple[str, ...]:
        """Names of the arrays kept for each parameter of ``group``, zeros at first."""
        return ()

    def update(self, p, g, state: dict, group: dict) -> None:
        """Change array ``p`` and ``state`` in place by gradient ``g``."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises: ShapeError, DtypeError or BackendError where a gradient does not fit.
        """
        for i, group in enumerate(self.param_groups):
            slots = self.slots(group)
            for j, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                p, g = parameter.data, parameter.grad.data
                if g.shape != p.shape or g.dtype != p.dtype or type(g) is not type(p):
                    self._refuse(i, j, p, g)
                state = self.state.get((i, j))
                if state is None or len(state) <= len(slots):
                    state = self._prepare(i, j, p, slots)
                state["step"] += 1
                self.update(p, g, state, group)

    def _prepare(self, i, j, p, slots):
        state, xp = self.state.setdefault((i, j), {"step": 0}), backend.xp_of(p)
        for name in slots:
            if name not in state:
                state[name] = xp.zeros(p.shape, p.dtype)
        return state

    def _refuse(self, i, j, p, g):
        where = f"{self.name}: gradient of parameter {i}.{j}"
        if g.shape != p.shape:
            raise ShapeError(f"{where} must be {p.shape}; got {g.shape}")
        if g.dtype != p.dtype:
            raise DtypeError(f"{where} must be {p.dtype}; got {g.dtype}")
        raise BackendError(
            f"{where} must be on {backend.device_of(p)!r}; got {backend.device_of(g)!r}"
        )

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def state_arrays(self) -> dict[str, np.ndarray]:
        """State arrays on the host as "group.index.name"; the CPU's share memory."""
        return {
            f"{i}.{j}.{name}": backend.asnumpy(value)
            for (i, j), state in self.state.items()
            for name, value in state.items()
            if name != "step"
        }

    def state_scalars(self) -> dict:
        """The rest as JSON has it: hyper-parameters by group, steps by parameter."""
        return {
            "optimizer": self.name,
            "groups": [
                {k: v for k, v in group.items() if k != "params"}
                | {"params": [list(p.shape) for p in group["params"]]}
                for group in self.param_groups
            ],
            "steps": {
                f"{i}.{j}": state["step"] for (i, j), state in self.state.items()
            },
        }

    def state_dict(self) -> dict:
        """Both parts of the state, sharing memory with it on the CPU."""
        return {"arrays": self.state_arrays(), "scalars": self.state_scalars()}

    def load_state_dict(self, state: dict) -> None:
        """`load_state` of what `state_dict` gave."""
        self.load_state(state["arrays"], state["scalars"])

    def load_state(self, arrays: dict[str, np.ndarray], scalars: dict) -> None:
        """Continue exactly where `state_arrays` and `state_scalars` were taken.

        Raises: CheckpointError if they are of another optimiser, other shapes or types,
        or incomplete; nothing changes then.
        """
        groups = self._checked_groups(scalars)
        self.state = self._checked_state(arrays, scalars["steps"], groups)
        for group, values in zip(self.param_groups, groups):
            group.update(values)

    def _checked_groups(self, scalars):
        """Hyper-parameters of each group, in range and for parameters like these."""
        own = self.state_scalars()
        self._require(scalars.keys() >= own.keys(), f"{list(own)}", list(scalars))
        name, groups = scalars["optimizer"], scalars["groups"]
        self._require(name == self.name, f"optimizer {self.name}", name)
        mine, came = ([g.get("params") for g in gs] for gs in (own["groups"], groups))
        self._require(mine == came, f"params {mine}", came)
        checked = []
        for group in groups:
            values = {k: v for k, v in group.items() if k != "params"}
            for key in self.defaults:
                self._require(key in values, f"{key} in each group", list(values))
                if isinstance(values[key], list):  # JSON has no tuples
                    values[key] = tuple(values[key])
            self.check(values)
            checked.append(values)
        return checked

    def _checked_state(self, arrays, steps, groups):
        """The whole state: copies of ``arrays``, each fitting its parameter."""
        own = {
            f"{i}.{j}": (i, j)
            for i, group in enumerate(self.param_groups)
            for j in range(len(group["params"]))
        }
        self._require(
            steps.keys() <= own.keys(), "steps of its parameters", list(steps)
        )
        state = {own[key]: {"step": n} for key, n in steps.items()}
        for name, value in arrays.items():
            key, _, slot = name.rpartition(".")
            self._require(key in steps, "arrays of parameters with steps", name)
            i, j = own[key]
            p = self.param_groups[i]["params"][j]
            expected, came = (f"{a.dtype}{a.shape}" for a in (p, value))
            self._require(came == expected, f"{name} {expected}", came)
            copy = np.array(value, order="C")
            state[i, j][slot] = backend.asarray(copy, None, p.device)
        for (i, j), found in state.items():
            for slot in self.slots(groups[i]):
                self._require(slot in found, f"array {i}.{j}.{slot}", "none")
        return state

    def _require(self, good, expected, got):
        if not good:
            raise CheckpointError(
                f"{self.name}: loaded state must hold {expected}; got {got}"
            )
