"""Routing networks: each task goes its own way through shared blocks.

Rosenbaum, Klinger, Riemer, "Routing Networks: Adaptive Selection of Non-Linear
Functions for Multi-Task Learning", ICLR 2018, arXiv 1711.01239.

A routed layer is a list of blocks. For an image of task t a router takes one of them at
each depth d, so that tasks can share a block or keep out of each other's way:

    h_{d+1} = block_{d, a}(h_d)        a ~ pi[t, d]        pi a table of probabilities

The blocks learn by the gradient of the loss, and those that were not taken get none.
The table learns by the weighted policy learner from the reward R of the same way: +1
where the answer was right, else -1, and rho times how often the action is taken:

    D = R - R_mean
    pi(a) += lr * D * (pi(a) if D < 0 else 1 - pi(a)), back onto the simplex

When training is over the likeliest block is taken. Here a task is to tell a few classes
apart, T tasks of C classes each, and every image passes on the ways of all tasks: the
T C answers together are the logits. The router learns from the image's own task.

Shapes: x (N, ...), tasks (R,), actions (R, D), pi (T, D, A), rewards (R,), y (N, T C).

Deviations: the answers of all tasks compete in one softmax, so that no one needs to say
which task an image belongs to; in the paper the task is given. The table takes one step
a batch, R being the mean over the rows that took an action. Blocks of one depth are
alike, and none of them passes its input on unchanged.
"""

from collections.abc import Sequence

import numpy as np

from .. import backend, nn
from .. import functional as F
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import number, whole
from ..nn.policy import draw_categorical
from ..tensor import Tensor
from ..zoo import check_image, register_model


def simplex(v: np.ndarray) -> np.ndarray:
    """The nearest probabilities to v: ``max(v - theta, 0)``, whose sum is 1.

    Of u_1 >= u_2 >= ..., v sorted, those stay above 0 that keep

        u_j > theta_j,  theta_j = (u_1 + ... + u_j - 1) / j;  theta is the last of them

    Shapes: v (..., A), the result too.
    """
    u = -np.sort(-v, -1)
    theta = (np.cumsum(u, -1) - 1) / np.arange(1, v.shape[-1] + 1)
    last = (u > theta).sum(-1, keepdims=True) - 1
    return np.maximum(v - np.take_along_axis(theta, last, -1), 0)


def weighted_policy(pi: np.ndarray, advantage: np.ndarray, lr: float) -> np.ndarray:
    """One step of the weighted policy learner: it slows down where it is nearly sure.

        pi + lr D (pi if D < 0 else 1 - pi), and `simplex` of that

    Shapes: pi, advantage and the result (..., A).
    Source: Rosenbaum et al. 2018, algorithm 3; Abdallah and Lesser 2006.
    """
    step = advantage * np.where(advantage < 0, pi, 1 - pi)
    return simplex(pi + lr * step)


class Router(nn.Module):
    """A table of probabilities for each task and depth, and how it learns.

    Args: lr: of `weighted_policy`; rho: how much a usual action is rewarded; decay: how
    slowly running means move. Everything that it learns is in its state. The host reads
    and writes the table: it waits for a GPU.
    Raises: ArgumentError.
    """

    def __init__(
        self,
        tasks: int,
        depth: int,
        choices: int,
        lr: float = 0.1,
        rho: float = 1.0,
        decay: float = 0.95,
    ):
        super().__init__()
        size = [
            whole("Router", name, value)
            for name, value in (
                ("tasks", tasks),
                ("depth", depth),
                ("choices", choices),
            )
        ]
        self.lr = number("Router", "lr", lr, 0, float("inf"))
        self.rho = number("Router", "rho", rho, 0, float("inf"))
        self.decay = number("Router", "decay", decay, 0, 1)
        even = np.full(size, 1 / choices, np.float32)
        self.register_buffer("table", Tensor(even))
        self.register_buffer("usage", Tensor(even.copy()))  # running shares of actions
        self.register_buffer("mean", Tensor(np.zeros(tasks, np.float32)))  # of rewards

    def draw(self, tasks: Tensor) -> Tensor:
        """Actions, drawn from the table. Shapes: tasks (R,), the result (R, D)."""
        return draw_categorical(F.log(F.clip(self.table, 1e-30, 1.0))[tasks])

    def likeliest(self, tasks: Tensor) -> Tensor:
        """The likeliest actions. Shapes: tasks (R,), the result (R, D)."""
        return F.argmax(self.table, -1)[tasks]

    def learn(self, tasks: Tensor, actions: Tensor, reward: Tensor) -> None:
        """Learn from what became of the actions.

        The return of the action at depth d is the reward and ``rho`` times the usage of
        the actions from there on; its advantage is over the task's running mean.

        Shapes: tasks, reward (R,), actions (R, D).
        Raises: ShapeError.
        """
        t, a, r = (backend.asnumpy(v.data) for v in (tasks, actions, reward))
        table, usage, mean = (
            backend.asnumpy(b.data).astype(np.float64)
            for b in (self.table, self.usage, self.mean)
        )
        if a.shape != (len(t), table.shape[1]) or r.shape != t.shape:
            raise ShapeError(
                f"Router: actions must be (R, {table.shape[1]}) and reward (R,) for "
                f"{len(t)} rows; got {a.shape} and {r.shape}"
            )
        places = t[:, None], np.arange(table.shape[1]), a
        extra = self.rho * usage[places]  # (R, D)
        returns = r[:, None] + np.cumsum(extra[:, ::-1], 1)[:, ::-1]
        count, total = np.zeros_like(table), np.zeros_like(table)
        np.add.at(count, places, 1)
        np.add.at(total, places, returns)
        advantage = total / np.maximum(count, 1) - mean[:, None, None]
        table = weighted_policy(table, np.where(count > 0, advantage, 0), self.lr)
        rows = count.sum((1, 2)) > 0  # tasks that came; the others stay as they are
        share = count / np.maximum(count.sum(-1, keepdims=True), 1)
        seen = total.sum((1, 2)) / np.maximum(count.sum((1, 2)), 1)
        rest = 1 - self.decay
        usage[rows] = self.decay * usage[rows] + rest * share[rows]
        mean[rows] = self.decay * mean[rows] + rest * seen[rows]
        for buffer, values in zip(
            (self.table, self.usage, self.mean), (table, usage, mean)
        ):
            values = backend.asarray(values, buffer.dtype, buffer.device)
            buffer.data[...] = values

    def status(self) -> str:
        """How sure it is: the mean of the largest probability."""
        return f"routes {100 * float(self.table.data.max(-1).mean()):.0f} % sure"

    def extra_repr(self):
        tasks, depth, choices = self.table.shape
        return f"{tasks}, {depth}, {choices}, lr={self.lr:g}, rho={self.rho:g}"


class RoutingNetwork(nn.Module):
    """A trunk that all share, and routed layers from it to each task's answers.

    Args: layers: for each depth its blocks, as many at each; the last ones give
    ``each`` numbers. Classes t C to (t + 1) C - 1 are those of task t.
    Shapes: x (N, ...), y (N, tasks * each).
    Raises: ArgumentError where depths have different numbers of blocks.
    """

    def __init__(
        self,
        trunk: nn.Module,
        layers: Sequence[Sequence[nn.Module]],
        tasks: int,
        each: int,
        lr: float = 0.1,
        rho: float = 1.0,
    ):
        super().__init__()
        sizes = {len(blocks) for blocks in layers}
        if len(sizes) != 1:
            raise ArgumentError(
                "RoutingNetwork: layers must all have as many blocks; got "
                f"{[len(blocks) for blocks in layers]}"
            )
        self.trunk = trunk
        self.layers = nn.ModuleList(nn.ModuleList(blocks) for blocks in layers)
        self.router = Router(tasks, len(layers), sizes.pop(), lr, rho)
        self.tasks, self.each = tasks, whole("RoutingNetwork", "each", each)

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, T C), and the actions of each image for each task (N T, D)."""
        h = self.trunk(x)
        count = h.shape[0]
        tasks = Tensor(np.tile(np.arange(self.tasks), count)).to(h.device)
        actions = (self.router.draw if self.training else self.router.likeliest)(tasks)
        h = h.unsqueeze(1).expand(count, self.tasks, *h.shape[1:])
        h = h.reshape(count * self.tasks, *h.shape[2:])
        for d, blocks in enumerate(self.layers):
            h = nn.dispatch(blocks, h, actions[:, d])
        return h.reshape(count, self.tasks * self.each), actions

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[0]

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and cross-entropy; the router learns at once, from each own task."""
        logits, actions = self.trace(x)
        count, device = x.shape[0], logits.device
        task = F.floor(y.to(logits.dtype) / self.each).to(y.dtype)
        own = Tensor(np.arange(count) * self.tasks).to(device) + task
        right = (F.argmax(logits, 1) == y).to(logits.dtype)
        self.router.learn(task, actions[own], 2 * right - 1)
        return logits, F.cross_entropy(logits, y)


@register_model("routing", lr=3e-3)
def routing_small(
    shape=(1, 28, 28), classes: int = 10, choices: int = 5, width: int = 32
) -> nn.Module:
    """Three convolutions; then pairs of classes are routed through 3 times 5 blocks."""
    check_image("routing", shape, 4)
    channels = shape[0], 16, 32, width
    pairs = zip(channels, channels[1:])
    convs = [layer for pair in pairs for layer in nn.conv_bn(*pair, 3, 2)]
    trunk = nn.Sequential(*convs, nn.GlobalAvgPool2d())
    each = 2 if classes % 2 == 0 else 1

    def hidden():
        return nn.Sequential(nn.Linear(width, width), nn.ReLU())

    kinds = hidden, hidden, lambda: nn.Linear(width, each)
    layers = [[kind() for _ in range(choices)] for kind in kinds]
    return RoutingNetwork(trunk, layers, classes // each, each)
