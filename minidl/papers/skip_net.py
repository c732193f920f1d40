"""SkipNet: a residual net that decides, image by image, which blocks to run.

Wang, Yu, Dou, Darrell, Gonzalez, "SkipNet: Learning Dynamic Routing in Convolutional
Networks", ECCV 2018, arXiv 1711.09485.

    x_{i+1} = g_i F_i(x_i) + (1 - g_i) x_i        g_i 0 or 1, from a gate that sees x_i

The first block always runs. A gate ends in a probability p; g = 1 where p > 1/2. That
has no derivative, so training goes in two stages:

    supervised  forwards the hard g, backwards as if it were p (straight-through)
    hybrid      g is drawn with probability p; the blocks learn by the gradient of the
                loss, the gates by REINFORCE (`nn.policy`) with the return

                    R_i = -loss + sum over j >= i of (alpha / n) (1 - g_j)

    feed-forward gate   3x3 of stride 2 - norm - ReLU - mean - linear - sigmoid
    recurrent gate      mean - linear to 10 - LSTM of 10, shared - linear - sigmoid

When training is over, blocks that are not wanted by an image are not computed for it.

Shapes: x (N, C, H, W), gates (N, n) for n + 1 blocks, y (N, classes).

Deviations: the feed-forward gate is the paper's second, smaller one, and ends in a
sigmoid of one output in place of a softmax of two, which is the same. Rewards are
compared with those of the other images of the batch. The stages are parts of one run:
the first half of its epochs is supervised. Gates begin at p = 0.73, so that all run.
The small model has alpha = 2; with the paper's 0.1 it skips next to nothing.
"""

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, ShapeError, unknown_name
from ..nn import policy
from ..nn._arguments import number
from ..tensor import Tensor
from ..zoo import check_image, register_model
from .resnet import ResNet, resnet_small, run_or_skip

EMBEDDING = 10  # numbers that a recurrent gate sees of an image, and keeps
OPEN = 1.0  # the last bias of a gate at first; the sigmoid of it is 0.73


class FeedForwardGate(nn.Module):
    """The probability that a block is worth its time: from the image alone.

    Shapes: x (N, channels, H, W), p (N,).
    Source: Wang et al. 2018, figure 3 (FFGate-II).
    """

    def __init__(self, channels: int):
        super().__init__()
        looks = nn.conv_bn(channels, channels, 3, 2)
        self.look = nn.Sequential(*looks, nn.GlobalAvgPool2d())
        self.score = opened(nn.Linear(channels, 1))

    def forward(self, x: Tensor, state=None):
        """p, and None: it remembers nothing."""
        return F.sigmoid(self.score(self.look(x))).squeeze(1), None


class RecurrentGate(nn.Module):
    """The same from the image and from what the gates before it have seen.

    ``memory`` and ``score`` are shared by the gates of a net.

    Shapes: x (N, channels, H, W), p (N,), state two of (N, 10).
    Source: Wang et al. 2018, figure 3 (RNNGate).
    """

    def __init__(self, channels: int, memory: nn.LSTMCell, score: nn.Linear):
        super().__init__()
        self.embed = nn.Linear(channels, EMBEDDING)
        self.memory, self.score = memory, score

    def forward(self, x: Tensor, state=None):
        """p and the state for the next gate."""
        state = self.memory(self.embed(F.mean(x, (2, 3))), state)
        return F.sigmoid(self.score(state[0])).squeeze(1), state


def opened(linear: nn.Linear) -> nn.Linear:
    """The layer, its bias such that a gate is open at first."""
    linear.bias.data[...] = OPEN
    return linear


def straight_through(p: Tensor) -> Tensor:
    """1 where p > 1/2, else 0; its gradient is passed on to p as it is."""
    hard = (p.detach() > 0.5).to(p.dtype)
    return hard + (p - p.detach())


def returns(loss: Tensor, gates: Tensor, alpha: float) -> Tensor:
    """``R_i = -loss + sum over j >= i of (alpha / n) (1 - g_j)``: a constant.

    Shapes: loss (N,), gates (N, n), R (N, n).
    Raises: ShapeError; ArgumentError unless alpha >= 0.
    Source: Wang et al. 2018, equation 4.
    """
    number("returns", "alpha", alpha, 0, float("inf"))
    if gates.ndim != 2 or loss.shape != gates.shape[:1]:
        raise ShapeError(
            "returns: loss and gates must be (N,) and (N, n); got "
            f"{tuple(loss.shape)} and {tuple(gates.shape)}"
        )
    saved = (1 - gates.detach()) * (alpha / gates.shape[1])
    behind = F.flip(F.cumsum(F.flip(saved, 1), 1), 1)
    return behind - loss.detach().unsqueeze(1)


class SkipNet(nn.Module):
    """A `ResNet` with a gate before every block but the first.

    Args: gate: "recurrent" or "feed-forward"; alpha: what a skipped block is worth.
    Shapes: x (N, in_channels, H, W), y (N, classes).
    Raises: UnknownNameError; ArgumentError unless alpha >= 0.
    """

    def __init__(self, net: ResNet, gate: str = "recurrent", alpha: float = 0.1):
        super().__init__()
        if gate not in ("recurrent", "feed-forward"):
            raise unknown_name("gate", gate, ("recurrent", "feed-forward"))
        self.alpha = number("SkipNet", "alpha", alpha, 0, float("inf"))
        self.net, self.stage = net, "supervised"
        self.seen: Tensor | None = None  # the share of blocks run for the last batch
        channels = [block.shortcut.channels for block in net.blocks][1:]
        if not channels:
            raise ArgumentError("SkipNet: net must have 2 blocks at least; got 1")
        if gate == "recurrent":
            shared = nn.LSTMCell(EMBEDDING, EMBEDDING), opened(nn.Linear(EMBEDDING, 1))
            gates = (RecurrentGate(c, *shared) for c in channels)
        else:
            gates = (FeedForwardGate(c) for c in channels)
        self.gates = nn.ModuleList(gates)

    def _decided(self, p):
        if self.training and self.stage == "hybrid":
            return policy.draw_bernoulli(p)
        return straight_through(p)

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, classes), the gates' probabilities (N, n), the gates g (N, n)."""
        first, *others = self.net.blocks
        x, state, seen = first(self.net.stem(x)), None, []
        for gate, block in zip(self.gates, others):
            p, state = gate(x, state)
            g = self._decided(p)
            x = run_or_skip(block, x, g)
            seen.append((p, g))
        p, g = (F.stack(column, 1) for column in zip(*seen))
        return self.net.head(x), p, g

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[0]

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the loss of the stage: cross-entropy, and REINFORCE if hybrid."""
        logits, p, g = self.trace(x)
        each = F.cross_entropy(logits, y, reduction="none")
        n = p.shape[1]
        self.seen = (1 + n * F.mean(g.detach())) / (1 + n)
        if self.stage == "supervised":
            return logits, F.mean(each)
        reward = returns(each, g, self.alpha)
        baseline = policy.others_mean(reward).reshape(-1)
        log_prob = policy.bernoulli_log_prob(p.reshape(-1, 1), g.reshape(-1, 1))
        choices = policy.reinforce(log_prob, reward.reshape(-1), baseline)
        return logits, F.mean(each) + choices * n

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Supervised for the first half of the epochs, rounded up; hybrid then."""
        self.stage = "supervised" if epoch < (epochs + 1) // 2 else "hybrid"

    def status(self) -> str:
        """The stage, and the share of blocks run for the last batch."""
        if self.seen is None:
            return self.stage
        return f"{self.stage}, {100 * self.seen.cpu().item():.0f} % of blocks run"

    def extra_repr(self):
        return f"alpha={self.alpha:g}"


@register_model("skipnet", lr=3e-3)
def skip_net_small(
    shape=(1, 28, 28), classes: int = 10, gate: str = "recurrent", alpha: float = 2.0
) -> SkipNet:
    """Six residual blocks; all but the first have a recurrent gate."""
    check_image("skipnet", shape, 4)
    return SkipNet(resnet_small(shape, classes), gate, alpha)
