"""Changes of element type and of device, through which gradients flow back."""

from .. import backend
from ..autograd import primitive
from ..errors import DtypeError
from ..samples import E, S


@primitive(
    samples=lambda r: [S(r(2, 3), dtype="float64"), S(r.mask(3), dtype="int64")],
    errors=lambda r: [E(DtypeError, "must be float32", r(2), dtype="float16")],
)
def cast(x, *, dtype):
    """``x`` as ``dtype``; the gradient returns in the type of ``x``."""
    return x.astype(backend.check_dtype("to", dtype), copy=False)


@primitive(samples=lambda r: [S(r(2, 3), device="cpu")])
def transfer(x, *, device):
    """``x`` on ``device``; the gradient returns to where ``x`` was."""
    backend.check_device(device)
    return x if backend.device_of(x) == device else backend.asarray(x, None, device)


cast.casts = True
cast.defvjp(lambda g, _y, x, *, dtype: cast(g, dtype=str(x.dtype)))
transfer.defvjp(lambda g, _y, x, *, device: transfer(g, device=x.device))
