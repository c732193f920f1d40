"""A long short-term memory: one step of it."""

import math

from .. import functional as F
from ..errors import ShapeError
from ..tensor import Tensor
from . import init
from ._arguments import whole
from .linear import empty
from .module import Module


class LSTMCell(Module):
    """One step of an LSTM, from input x and state (h, c) to the state that follows.

        i, f, g, o = x W_ih^T + b_ih + h W_hh^T + b_hh      one behind the other
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Without a state it starts from zeros.

    Shapes: x (N, input_size); h, c (N, hidden_size); weight_ih (4 hidden_size,
    input_size), weight_hh (4 hidden_size, hidden_size), biases (4 hidden_size,).
    Raises: ArgumentError unless both sizes are >= 1; ShapeError for another x.
    Source: Hochreiter and Schmidhuber 1997; the forget gate is of Gers et al. 2000.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.input_size = whole("LSTMCell", "input_size", input_size)
        self.hidden_size = whole("LSTMCell", "hidden_size", hidden_size)
        rows = 4 * hidden_size
        self.weight_ih, self.weight_hh = empty(rows, input_size), empty(rows, rows // 4)
        self.bias_ih, self.bias_hh = empty(rows), empty(rows)
        bound = 1 / math.sqrt(hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None):
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ShapeError(
                f"LSTMCell: x must be (N, {self.input_size}); got {tuple(x.shape)}"
            )
        gates = F.linear(x, self.weight_ih, self.bias_ih) + self.bias_hh
        if state is not None:
            gates = gates + F.linear(state[0], self.weight_hh)
        i, f, g, o = F.split(gates, self.hidden_size, 1)
        c = F.sigmoid(i) * F.tanh(g)
        c = c if state is None else c + F.sigmoid(f) * state[1]
        return F.sigmoid(o) * F.tanh(c), c

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}"
