"""BlockDrop: a second, small net looks first and says which blocks an image needs.

Wu, Nagarajan, Kumar, Rennie, Davis, Grauman, Feris, "BlockDrop: Dynamic Inference Paths
in Residual Networks", CVPR 2018, arXiv 1711.08393.

A residual net with K blocks is there; a policy net gives p (K,) for an image, all at
once. u is drawn and the net runs with the blocks that u keeps:

    reward     R(u) = 1 - (|u| / K)^2  if the class is right,  else  -gamma
    drawn      u ~ Bernoulli(alpha p + (1 - alpha) (1 - p))       alpha = 0.8
    baseline   R(u*), u* = 1 where p >= 1/2                      (self-critical)
    gradient   of -(R(u) - R(u*)) log P(u) - beta H(P)            beta = 0.1

    pretraining  the net alone
    curriculum   the net is frozen, the policy learns: only the last t blocks may be
                 dropped, the others are kept and left out of P; t grows to K
    finetuning   both, by the cross-entropy of the net that u leaves as well

When training is over, u = 1 where p >= 1/2, and dropped blocks are not computed.

    policy     a residual net of one block in each of three stages

Shapes: x (N, C, H, W), p and u (N, K), y (N, classes).

Deviations: the entropy H has both its terms; the authors' code leaves (1 - p) log(1 -
p) out. The stages are parts of one run, 2/5, 2/5 and 1/5 of its epochs, with one
learning rate; the paper lowers it for finetuning. t grows in equal steps over the
curriculum, the paper's by one an epoch.
"""

import math

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import no_grad
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import number, whole
from ..nn.policy import (
    bernoulli_entropy,
    bernoulli_log_prob,
    draw_bernoulli,
    reinforce,
)
from ..tensor import Tensor
from ..zoo import check_image, register_model
from .resnet import ResNet, resnet_small

STAGES = ("pretraining", "curriculum", "finetuning")


def reward(keep: Tensor, correct: Tensor, gamma: float = 1.0) -> Tensor:
    """``1 - (|u| / K)^2`` where correct, else ``-gamma``: a constant.

    Shapes: keep (N, K) of 0 and 1, correct (N,) of 0 and 1 or bool; the result (N,).
    Raises: ShapeError; ArgumentError unless gamma >= 0.
    Source: Wu et al. 2018, equation 3.
    """
    number("reward", "gamma", gamma, 0, float("inf"))
    if keep.ndim != 2 or correct.shape != keep.shape[:1]:
        raise ShapeError(
            "reward: keep and correct must be (N, K) and (N,); got "
            f"{tuple(keep.shape)} and {tuple(correct.shape)}"
        )
    share = F.mean(keep.detach(), 1)
    return F.where(correct.detach().to("bool"), 1 - share * share, share * 0 - gamma)


def bounded(p: Tensor, alpha: float = 0.8) -> Tensor:
    """``alpha p + (1 - alpha) (1 - p)``: never nearer to 0 or 1 than 1 - alpha.

    Raises: ArgumentError unless 0 <= alpha <= 1.
    Source: Wu et al. 2018, equation 7.
    """
    number("bounded", "alpha", alpha, 0, 1)
    return alpha * p + (1 - alpha) * (1 - p)


def likely(p: Tensor) -> Tensor:
    """1 where p >= 1/2, else 0: the likeliest u."""
    return (p.detach() >= 0.5).to(p.dtype)


class Policy(nn.Module):
    """The probability that an image needs a block, for all K blocks at once.

    Shapes: x (N, in_channels, H, W), p (N, blocks).
    Raises: ArgumentError.
    """

    def __init__(
        self, blocks: int, in_channels: int = 3, widths=(16, 32, 64), stride: int = 1
    ):
        super().__init__()
        self.blocks, ones = whole("Policy", "blocks", blocks), [1] * len(widths)
        self.net = ResNet(ones, widths, in_channels, blocks, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(self.net(x))


class BlockDrop(nn.Module):
    """A `ResNet` and the `Policy` that drops its blocks.

    Args: gammas: what a wrong answer costs in the curriculum and in finetuning; alpha:
    see `bounded`; beta: the entropy's weight.
    Shapes: x (N, in_channels, H, W), y (N, classes).
    Raises: ArgumentError.
    """

    def __init__(
        self,
        net: ResNet,
        policy: Policy,
        gammas: tuple[float, float] = (1.0, 10.0),
        alpha: float = 0.8,
        beta: float = 0.1,
    ):
        super().__init__()
        self.gammas = tuple(
            number("BlockDrop", "gamma", g, 0, float("inf")) for g in gammas
        )
        self.alpha = number("BlockDrop", "alpha", alpha, 0, 1)
        self.beta = number("BlockDrop", "beta", beta, 0, float("inf"))
        if not isinstance(policy, Policy) or policy.blocks != len(net.blocks):
            raise ArgumentError(
                f"BlockDrop: policy must decide on the net's {len(net.blocks)} blocks; "
                f"got {getattr(policy, 'blocks', type(policy).__name__)}"
            )
        self.net, self.policy = net, policy
        self.stage, self.droppable = STAGES[0], 0
        self.seen: Tensor | None = None  # how many blocks ran for the last batch
        # 1 for blocks that always run. Part of the state: it decides what is computed.
        self.register_buffer("fixed", Tensor(np.ones(policy.blocks, np.int64)))

    def allow(self, blocks: int) -> None:
        """Let the last ``blocks`` blocks be dropped, and no other.

        Raises: ArgumentError unless 0 <= blocks <= K.
        """
        count = self.policy.blocks
        if whole("BlockDrop", "blocks", blocks, 0) > count:
            raise ArgumentError(
                f"BlockDrop: blocks must be at most {count}; got {blocks}"
            )
        self.droppable = blocks
        self.fixed.data[...] = 1
        self.fixed.data[count - blocks :] = 0

    def _kept(self, u):
        return F.where(self.fixed > 0, u * 0 + 1, u)

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, classes), and which blocks ran (N, K)."""
        keep = self._kept(likely(self.policy(x)))
        return self.net(x, keep), keep

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[0]

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with the blocks that were drawn, and the loss of the stage."""
        if self.stage == "pretraining":
            return self.net.objective(x, y)
        tuned = self.stage == "finetuning"
        p = bounded(self.policy(x), self.alpha)
        best, drawn = self._kept(likely(p)), self._kept(draw_bernoulli(p))
        self.net.eval()
        with no_grad():
            baseline = self._reward(self.net(x, best), best, y)
        if tuned:
            logits = self.net.train()(x, drawn)
        else:
            with no_grad():
                logits = self.net(x, drawn)
        some = slice(self.policy.blocks - self.droppable, None)
        self.seen = F.mean(F.sum(drawn, 1))
        loss = reinforce(
            bernoulli_log_prob(p[:, some], drawn[:, some]),
            self._reward(logits, drawn, y),
            baseline,
            bernoulli_entropy(p[:, some]),
            self.beta,
        )
        return logits, loss + F.cross_entropy(logits, y) if tuned else loss

    def _reward(self, logits, keep, y):
        right = F.argmax(logits.detach(), 1) == y
        return reward(keep, right, self.gammas[self.stage == "finetuning"])

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Pretraining for 2/5 of the epochs, curriculum for 2/5, finetuning then."""
        first = max(1, round(0.4 * epochs))
        last = max(first, round(0.8 * epochs))
        if epoch < first:
            self.stage, steps = "pretraining", 0
        elif epoch < last:
            self.stage, steps = "curriculum", (epoch + 1 - first) / (last - first)
        else:
            self.stage, steps = "finetuning", 1
        self.allow(math.ceil(steps * self.policy.blocks))

    def status(self) -> str:
        """The stage, how many blocks may be dropped, and how many ran."""
        if self.stage == "pretraining" or self.seen is None:
            return self.stage
        count = self.policy.blocks
        ran = f"{self.seen.cpu().item():.1f} of {count} blocks run"
        if self.stage == "finetuning":
            return f"{self.stage}, {ran}"
        return f"{self.stage}, the last {self.droppable} may be dropped, {ran}"

    def extra_repr(self):
        return f"gammas={self.gammas}, alpha={self.alpha:g}, beta={self.beta:g}"


@register_model("blockdrop", lr=3e-3)
def block_drop_small(shape=(1, 28, 28), classes: int = 10) -> BlockDrop:
    """Six residual blocks, dropped by a policy net of three narrow ones."""
    check_image("blockdrop", shape, 4)
    net = resnet_small(shape, classes)
    return BlockDrop(net, Policy(len(net.blocks), shape[0], (8, 16, 32), 2))
