"""MetaPruning: one net that writes the weights of every narrower net, and a search.

Liu, Mu, Zhang, Guo, Yang, Cheng, Sun, "MetaPruning: Meta Learning for Automatic Neural
Network Channel Pruning", ICCV 2019, arXiv 1903.10258.

How many channels should each layer keep? To train a net for every answer takes too
long. So first a PruningNet learns to write weights for any widths. For each layer:

    (in width, out width) / full widths -- linear to 32 -- ReLU -- linear -- full kernel
    W = kernel[:out, :in]            cropped, so ratio 1 is the kernel itself

    1 train    widths are drawn anew for every batch; a norm of its own for each width
    2 search   by evolution, under a limit of multiply-adds: widths are scored with the
               written weights, nothing is trained
    3 retrain  the widths that were found, from scratch, with weights of their own

    parameters  2 * 32 + 32, and 33 for each weight of the full kernel

Before a net is scored its norms must see images: the statistics of norms that were
trained with other widths before them are wrong for it.

Shapes: x (N, C, H, W), widths (layers,) as indices into the ratios, y (N, classes).

Deviations: the linear layer at the end is not written but shared, and cropped. The
ratios are 6, the paper has 31 from 0.1 to 1. In `MetaPruned`, where the stages are
parts of one run, the norms of the search take the mean of the batch itself, candidates
are scored on batches of training images, and the PruningNet learns on meanwhile.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from .. import backend, nn, random
from .. import functional as F
from ..autograd import no_grad
from ..errors import ArgumentError
from ..nn import init
from ..nn._arguments import number, whole
from ..nn.linear import empty
from ..tensor import Tensor
from ..zoo import check_image, register_model
from .evolution import first_population, next_population

HIDDEN = 32  # between an encoding of widths and a kernel
STAGES = ("train", "search", "retrain")
RATIOS = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)


class WrittenKernel(nn.Module):
    """A full kernel, written by two linear layers from the widths it is for.

    Shapes: the result (out, in, k, k).
    Source: Liu et al. 2019, section 3.1 and figure 3.
    """

    def __init__(self, out: int, channels: int, kernel_size: int):
        super().__init__()
        self.size = out, channels, kernel_size, kernel_size
        self.first = nn.Linear(2, HIDDEN)
        self.second = nn.Linear(HIDDEN, math.prod(self.size))
        # The bias is a usual kernel, and widths change it by about as much.
        deviation = math.sqrt(2 / (channels * kernel_size**2))
        init.normal_(self.second.bias, 0, deviation)
        init.normal_(self.second.weight, 0, deviation / math.sqrt(HIDDEN))

    def forward(self, in_ratio: float, out_ratio: float) -> Tensor:
        weight = self.first.weight
        encoded = np.array([[in_ratio, out_ratio]], np.dtype(weight.dtype))
        hidden = F.relu(self.first(Tensor(encoded).to(weight.device)))
        return self.second(hidden).reshape(*self.size)


class OwnKernel(nn.Module):
    """A full kernel of its own, the same for all widths."""

    def __init__(self, out: int, channels: int, kernel_size: int):
        super().__init__()
        kernel = empty(out, channels, kernel_size, kernel_size)
        self.weight = init.kaiming_uniform_(kernel, a=math.sqrt(5))  # as nn.Conv2d

    def forward(self, in_ratio: float, out_ratio: float) -> Tensor:
        return self.weight


class CroppedNet(nn.Module):
    """3x3 convolutions whose widths are chosen at every call, mean, linear.

    ``net(x, choice)``: choice[i] says which of the ratios layer i has; without it all
    have the last. Kernels are written (the PruningNet) or, unless ``written``, its own.

    Args: shape: (C, H, W) of one image; widths, strides: of each layer, the full ones;
    ratios: rising, in (0, 1], the last 1.
    Shapes: x (N, C, H, W), y (N, classes).
    Raises: ArgumentError; ShapeError.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        classes: int = 10,
        widths: Sequence[int] = (16, 32, 64),
        strides: Sequence[int] = (2, 1, 2),
        ratios: Sequence[float] = RATIOS,
        written: bool = True,
    ):
        super().__init__()
        where = "CroppedNet"
        self.shape, self.ratios = tuple(shape), tuple(ratios)
        self.classes = whole(where, "classes", classes)
        rising = all(a < b for a, b in zip((0, *self.ratios), self.ratios))
        if not rising or self.ratios[-1:] != (1,):
            raise ArgumentError(
                f"{where}: ratios must rise in (0, 1] and end in 1; got {self.ratios}"
            )
        if len(widths) != len(strides) or not widths:
            raise ArgumentError(
                f"{where}: strides must be given for each of {len(widths)} widths; got "
                f"{len(strides)}"
            )
        self.widths, self.strides = tuple(widths), tuple(strides)
        # Channels of each layer for each ratio.
        self.table = [[nn.scaled(where, w, r) for r in self.ratios] for w in widths]
        kind = WrittenKernel if written else OwnKernel
        inputs = shape[0], *widths[:-1]
        self.kernels = nn.ModuleList(kind(w, c, 3) for w, c in zip(widths, inputs))
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(n) for n in row) for row in self.table
        )
        self.head = nn.Linear(widths[-1], classes)

    def checked(self, choice: Iterable[int] | None) -> list[int]:
        """One index into the ratios for each layer; None: the last for all.

        Raises: ArgumentError.
        """
        count, layers = len(self.ratios), len(self.widths)
        found = [count - 1] * layers if choice is None else [int(c) for c in choice]
        if len(found) != layers or not all(0 <= c < count for c in found):
            raise ArgumentError(
                f"CroppedNet: choice must be {layers} indices of ratios, 0 to "
                f"{count - 1}; got {found}"
            )
        return found

    def channels(self, choice: Iterable[int] | None = None) -> list[int]:
        """The channels of each layer. Raises: ArgumentError."""
        return [row[c] for row, c in zip(self.table, self.checked(choice))]

    def forward(self, x: Tensor, choice: Iterable[int] | None = None) -> Tensor:
        before, ratio = self.shape[0], 1.0
        for i, c in enumerate(self.checked(choice)):
            out = self.table[i][c]
            kernel = self.kernels[i](ratio, self.ratios[c])[:out, :before]
            x = F.conv2d(x, kernel, stride=self.strides[i], padding=1)
            x = self.norms[i][c](x, relu=True)
            before, ratio = out, self.ratios[c]
        return F.linear(F.mean(x, (2, 3)), self.head.weight[:, :before], self.head.bias)

    def madds(self, choice: Iterable[int] | None = None) -> int:
        """Multiply-adds of one image with these widths. Raises: ArgumentError."""
        return madds_of(self.shape, self.channels(choice), self.strides, self.classes)

    def drawn(self) -> list[int]:
        """Widths for one batch: each ratio as likely for each layer."""
        draw = random.generator()
        return draw.integers(len(self.ratios), size=len(self.widths)).tolist()


def madds_of(
    shape: Sequence[int], widths: Sequence[int], strides: Sequence[int], classes: int
) -> int:
    """Multiply-adds of `plain_net` for one image (C, H, W)."""
    (before, *size), total = shape, 0
    for out, stride in zip(widths, strides, strict=True):
        size = [-(-n // stride) for n in size]
        total += 9 * before * out * math.prod(size)
        before = out
    return total + before * classes


def plain_net(
    shape: Sequence[int],
    classes: int,
    widths: Sequence[int],
    strides: Sequence[int] = (2, 1, 2),
) -> nn.Sequential:
    """The net that a choice stands for, of ordinary layers, to be trained alone."""
    layers, before = [], shape[0]
    for out, stride in zip(widths, strides, strict=True):
        layers += nn.conv_bn(before, out, 3, stride)
        before = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(before, classes))


def recalibrate(net: CroppedNet, choice: Iterable[int], batches: Iterable[Tensor]):
    """Give the norms of these widths the means of some batches of images.

    Their statistics become averages over the batches; no weight changes.

    Raises: ArgumentError without a batch.
    Source: Liu et al. 2019, section 3.2.
    """
    was_training, seen = net.training, 0
    norms = [row[c] for row, c in zip(net.norms, net.checked(choice))]
    kept = [norm.momentum for norm in norms]
    with no_grad():
        for seen, images in enumerate(batches, 1):
            for norm in norms:
                norm.momentum = 1 / seen  # the first forgets what was before
            net.train()(images, choice)
    for norm, momentum in zip(norms, kept):
        norm.momentum = momentum
    net.train(was_training)
    if not seen:
        raise ArgumentError("recalibrate: batches must hold one at least; got none")


def written_parameters(weights: int, layers: int = 1) -> int:
    """Parameters that write ``weights`` numbers in ``layers`` layers: 33 for each, and
    96 a layer."""
    return (HIDDEN + 1) * weights + 3 * HIDDEN * layers


class MetaPruned(nn.Module):
    """All three stages as one training run: PruningNet, search, retraining.

    Args: limit: multiply-adds of the net to be found, as a share of the full net's;
    size: candidates of a population; batches: over which each is scored.
    Shapes: x (N, C, H, W), y (N, classes).
    Raises: ArgumentError for a limit below the smallest net.
    """

    def __init__(
        self,
        shape=(1, 28, 28),
        classes: int = 10,
        limit: float = 0.4,
        size: int = 20,
        batches: int = 8,
    ):
        super().__init__()
        self.writer = CroppedNet(shape, classes)
        self.pruned = CroppedNet(shape, classes, written=False)
        full = self.writer.madds()
        least = self.writer.madds([0] * len(self.writer.widths))
        self.limit = number("MetaPruned", "limit", limit, 0, 1)
        if limit * full < least:
            raise ArgumentError(
                f"MetaPruned: limit must let the smallest net in, {least / full:.3f} "
                f"of the full one's multiply-adds; got {limit}"
            )
        self.stage = STAGES[0]
        self.batches = whole("MetaPruned", "batches", batches)
        # Part of the state, so that a search that was interrupted goes on.
        rows = np.zeros((whole("MetaPruned", "size", size, 5), len(self.writer.widths)))
        self.register_buffer("population", Tensor(rows.astype(np.int64)))
        self.register_buffer("hits", Tensor(np.zeros(size, np.int64)))
        self.register_buffer("found", Tensor(rows[0].astype(np.int64)))
        # The stage's number, generations bred, batches and images of the running one.
        self.register_buffer("counts", Tensor(np.zeros(4, np.int64)))
        self.best = math.nan  # of the last generation, the share that was right

    def _fits(self, choice):
        return self.writer.madds(choice) <= self.limit * self.writer.madds()

    def choice(self) -> list[int]:
        """The widths that the search has found so far, as indices into the ratios."""
        return backend.asnumpy(self.found.data).tolist()

    def forward(self, x: Tensor) -> Tensor:
        """The full PruningNet's logits; those of the pruned net from its epochs on."""
        retrained = int(self.counts.data[0]) == STAGES.index("retrain")
        return self.pruned(x, self.choice()) if retrained else self.writer(x)

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and cross-entropy: of widths drawn anew, or of those found."""
        if self.stage == "retrain":
            logits = self.pruned(x, self.widths)
        else:
            if self.stage == "search":
                self._score(x, y)
            logits = self.writer(x, self.writer.drawn())
        return logits, F.cross_entropy(logits, y)

    def _score(self, x, y):
        """Count what each candidate gets right of a batch; breed after enough."""
        with no_grad():
            for i, choice in enumerate(backend.asnumpy(self.population.data)):
                right = F.argmax(self.writer(x, choice), 1) == y
                self.hits.data[i] += right.data.sum()
        self.counts.data[2] += 1
        self.counts.data[3] += x.shape[0]
        if int(self.counts.data[2]) == self.batches:
            self._breed()

    def _breed(self):
        population, hits = (
            backend.asnumpy(b.data) for b in (self.population, self.hits)
        )
        self.found.data[...] = self.population.data[int(hits.argmax())]
        self.best = hits.max() / int(self.counts.data[3])
        fifth = len(hits) // 5
        ratios, kinds = len(self.writer.ratios), (fifth, 2 * fifth, fifth)
        bred = next_population(population, hits, ratios, self._fits, *kinds)
        self._begin(bred)
        self.counts.data[1] += 1

    def _begin(self, population):
        device = self.found.device
        self.population.data[...] = backend.asarray(population, None, device)
        self.hits.data[...] = 0
        self.counts.data[2:] = 0

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Train for 3/10 of the epochs, search for 1/10, retrain; the first two for one
        epoch at least."""
        train = max(1, round(0.3 * epochs))
        search = train + max(1, round(0.1 * epochs))
        number = int(epoch >= train) + int(epoch >= search)
        before, self.stage = int(self.counts.data[0]), STAGES[number]
        self.counts.data[0] = number
        if self.stage == "search" and before != number:
            size, layers = self.population.shape
            ratios = len(self.writer.ratios)
            self._begin(first_population(size, layers, ratios, self._fits))
            self.found.data[...] = self.population.data[0]
        if self.stage == "retrain":
            self.widths = self.choice()

    def status(self) -> str:
        """The stage; in a search the generation and the best of the one before."""
        share = 100 * self.writer.madds(self.choice()) / self.writer.madds()
        if self.stage == "search":
            words = f"search, generation {int(self.counts.data[1]) + 1}"
            if math.isnan(self.best):
                return words
            return f"{words}, {100 * self.best:.0f} % at {share:.0f} % of the MAdds"
        if self.stage == "retrain":
            channels = "-".join(map(str, self.writer.channels(self.widths)))
            return f"retrain {channels}, {share:.0f} % of the MAdds"
        return "train for any widths"


@register_model("metapruning", lr=1e-2)
def meta_pruned_small(
    shape=(1, 28, 28), classes: int = 10, limit: float = 0.4
) -> MetaPruned:
    """Three 3x3 convolutions whose widths are searched with written weights."""
    check_image("metapruning", shape, 4)
    return MetaPruned(shape, classes, limit)
