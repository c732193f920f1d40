"""All primitives, by family: each with its forward, its vjps and its samples."""

from ..autograd import add, broadcast_to, sum_to
from .arithmetic import div, maximum, minimum, mul, power, sub
from .channels import channel_affine
from .comparison import eq, ge, gt, le, lt, ne, where
from .conv import conv2d, conv2d_input, conv2d_weight, fold, unfold
from .elementwise import (
    abs,
    clip,
    cos,
    erf,
    exp,
    floor,
    leaky_relu,
    log,
    neg,
    relu,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    tanh,
)
from .fastfood import fastfood
from .linalg import contract, linear, matrix_multiply
from .loss import cross_entropy
from .norm import batch_norm
from .pool import avg_pool2d, max_pool2d
from .reduction import (
    amax,
    amin,
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    softmax,
    sum,
)
from .shape import (
    concatenate,
    constant_pad,
    flip,
    gather_along,
    getitem,
    permute,
    putitem,
    reshape,
    scatter_add_along,
)
from .transfer import cast, transfer
from .transform import from_sequency, fwht, shift, to_sequency

__all__ = [name for name in dir() if not name.startswith("_")]
