"""What a module remembers: parameters, and copying saved tensors into them."""

from typing import NamedTuple

from .. import backend
from ..errors import CheckpointError, DtypeError
from ..interchange import tensor
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that a `Module` finds among its attributes and optimisers update.

    Arrays and Tensors are taken without a copy; numbers and lists become float32.

    Raises: DtypeError if ``data`` is not float32 or float64.
    """

    __slots__ = ()

    def __init__(self, data, requires_grad: bool = True):
        if not isinstance(data, Tensor):
            data = Tensor(data) if backend.is_array(data) else tensor(data)
        if data.dtype not in (backend.float32, backend.float64):
            raise DtypeError(
                f"Parameter: data must be float32 or float64; got {data.dtype}"
            )
        super().__init__(data.data, requires_grad)


class Difference(NamedTuple):
    """What `load` passed over when not strict."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(
    where: str, own: dict[str, Tensor], state: dict, strict: bool = True
) -> Difference:
    """Copy ``state`` (name to Tensor or array) into tensors ``own``: all or nothing.

    Shapes and types must be equal; names too if ``strict``.

    Raises: CheckpointError listing every entry that does not fit.
    """
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    wrong, values = [], {}
    for name in filter(state.__contains__, own):
        value = state[name].data if isinstance(state[name], Tensor) else state[name]
        expected, came = f"{own[name].dtype}{own[name].shape}", type(value).__name__
        if backend.is_array(value):
            came, values[name] = f"{value.dtype}{value.shape}", value
        if came != expected:
            wrong.append(f"{name} must be {expected}; got {came}")
    if strict and missing:
        wrong.append(f"missing {', '.join(missing)}")
    if strict and unexpected:
        wrong.append(f"unexpected {', '.join(unexpected)}")
    if wrong:
        raise CheckpointError(
            f"load_state_dict: entries must fit {where}: {'; '.join(wrong)}"
        )
    for name, value in values.items():
        own[name].data[...] = backend.asarray(value, None, own[name].device)
    return Difference(missing, unexpected)
