"""Modules to choose from: each image passes the one that was chosen for it."""

from collections.abc import Sequence

import numpy as np

from .. import backend
from .. import functional as F
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from .module import Module


def dispatch(modules: Sequence[Module], x: Tensor, choice: Tensor) -> Tensor:
    """``y[n] = modules[choice[n]](x[n])``; what nobody chose is not computed.

    A module sees its images as one batch, so that a norm in training mode takes their
    mean. The host reads the choice: it waits for a GPU here.

    Shapes: x (N, ...), choice (N,) whole numbers, also as floats; y (N, ...), so all
    that are chosen must give one shape.
    Raises: ShapeError; ArgumentError for a choice that names no module.
    """
    if choice.shape != x.shape[:1]:
        raise ShapeError(
            f"dispatch: choice must be ({x.shape[0] if x.ndim else ''},), one for each "
            f"row of x; got {tuple(choice.shape)}"
        )
    chosen = backend.asnumpy(choice.data)
    named = range(len(modules))
    wrong = ~np.isin(chosen, named)
    if wrong.any():
        raise ArgumentError(
            f"dispatch: choice must name one of {len(modules)} modules, counted from "
            f"0; got {chosen[wrong][0]}"
        )
    rows = {i: found for i in named if len(found := np.flatnonzero(chosen == i))}
    if len(rows) == 1:
        return modules[next(iter(rows))](x)
    if not rows:
        raise ShapeError("dispatch: x must have a row; got none")

    def index(numbers):
        return Tensor(numbers).to(x.device)

    parts = [modules[i](x[index(found)]) for i, found in rows.items()]
    back = np.argsort(np.concatenate(list(rows.values())))
    return F.concatenate(parts)[index(back)]
