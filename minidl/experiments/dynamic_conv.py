"""Convolutions that depend on their input: how many experts, how hot, and who works."""

import numpy as np

from .. import data, nn, pictures
from ..autograd import no_grad
from ..papers.conditional_conv import CondConv2d, Routing
from ..papers.dynamic_conv import DynamicConv2d, set_schedule
from ..papers.squeeze_excitation import SqueezeExcitation
from ..tensor import Tensor
from . import study
from .measurement import Measurement, Task
from .study import Claim, Experiment, Variant

FOREVER = 10**9  # epochs after which a temperature has come down: never

# Experts: do more of them learn better?


def _net(shape, classes, conv, width):
    """A 3x3 stem of stride 2, two convolutions of a kind, mean, linear."""
    layers, channels = nn.conv_bn(shape[0], width, 3, 2), width
    for stride in (2, 1):
        out = 2 * width
        layers += [conv(channels, out, stride), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Linear(channels, classes))


def _plain(channels, out, stride):
    return nn.Conv2d(channels, out, 3, stride, 1, bias=False)


def _cond(experts, **options):
    def conv(channels, out, stride):
        pieces = dict(bias=False, experts=experts)
        pieces["routing"] = Routing(channels, experts, **options)
        return CondConv2d(channels, out, 3, stride, 1, **pieces)

    return conv


def _built(conv, width=6):
    return lambda shape, classes: _net(shape, classes, conv, width)


EXPERTS = Experiment(
    "condconv-experts",
    "does a kernel for each image learn better, and from how many experts?",
    "Yang et al. 2019",
    (
        Variant("plain", _built(_plain)),
        Variant("1 expert", _built(_cond(1))),
        Variant("4 experts", _built(_cond(4))),
        Variant("8 experts", _built(_cond(8))),
        Variant("plain, twice as wide", _built(_plain, 12)),
    ),
    (
        Claim("Experts lower the training loss.", "4 experts", "plain", loss=True),
        Claim("Twice as many lower it more.", "8 experts", "4 experts", loss=True),
        Claim("Experts raise the accuracy.", "8 experts", "plain"),
        Claim(
            "It is the choice that helps, not the scaling by a routing number.",
            "8 experts",
            "1 expert",
        ),
    ),
    epochs=4,
    seeds=10,
)

# Temperature: must attention be soft at first?


def _dynamic(start, epochs=FOREVER):
    def build(shape, classes):
        model = _built(_attending, 8)(shape, classes)
        set_schedule(model, start, epochs)
        return model

    return build


def _attending(channels, out, stride):
    return DynamicConv2d(channels, out, 3, stride, 1, bias=False)


def _scaled(channels, out, stride):
    """A plain convolution, its channels weighed by the image (SE)."""
    return nn.Sequential(_plain(channels, out, stride), SqueezeExcitation(out, 4))


TEMPERATURE = Experiment(
    "dynamic-temperature",
    "must attention over kernels be soft while training begins?",
    "Chen et al. 2020",
    (
        Variant("plain", _built(_plain, 8)),
        Variant("plain, squeeze-excitation", _built(_scaled, 8)),
        Variant("T = 1", _dynamic(1.0)),
        Variant("T = 30", _dynamic(30.0)),
        Variant("T from 30 to 1", _dynamic(30.0, 4)),
    ),
    (
        Claim("Soft attention beats hard.", "T = 30", "T = 1"),
        Claim("Annealed is best.", "T from 30 to 1", "T = 30"),
        Claim("Dynamic kernels beat a plain one.", "T from 30 to 1", "plain"),
        Claim(
            "To choose kernels beats to weigh channels.",
            "T from 30 to 1",
            "plain, squeeze-excitation",
        ),
    ),
    epochs=6,
    seeds=5,
)

# Collapse: do a few experts do all the work?

COUNT = 4
KINDS = {
    "sigmoid": _built(_cond(COUNT), 8),
    "sigmoid, 1 in 4 dropped": _built(_cond(COUNT, drop=0.25), 8),
    "softmax": _built(_cond(COUNT, activation="softmax"), 8),
    "attention, T = 1": _dynamic(1.0),
    "attention, T from 30 to 1": _dynamic(30.0, 4),
}


def weights_of(model: nn.Module, images: Tensor) -> list[np.ndarray]:
    """The routing numbers (N, experts) of every such layer for some images."""
    found, layers = [], [m for m in model.modules() if isinstance(m, CondConv2d)]
    for layer in layers:
        inner = layer.routing.forward

        def watched(x, inner=inner):
            found.append(inner(x).numpy())
            return Tensor(found[-1])

        layer.routing.forward = watched
    try:
        with no_grad():
            model.eval()(images)
    finally:
        for layer in layers:
            del layer.routing.forward
    return found


def effective(weights: np.ndarray) -> float:
    """How many experts share the work: ``exp(entropy)`` of their mean shares.

    Shapes: weights (N, experts), positive.
    """
    share = weights.mean(0) / weights.mean(0).sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _collapse_rows(task: Task):
    images = task.images
    if task.quick:
        images = study.fewer(images, study.QUICK_IMAGES)
    transform = data.transforms.ToFloat(images.mean, images.std)
    shown = Tensor(transform(images.x_test, None))
    for kind, build in KINDS.items():
        for seed in range(task.seeds):
            model, _ = study.fit(build, images, seed, 1 if task.quick else 6, 5e-3, 64)
            for number, w in enumerate(weights_of(model, shown), 1):
                chosen = np.bincount(w.argmax(1), minlength=w.shape[1]) / len(w)
                yield {
                    "routing": kind,
                    "seed": seed,
                    "layer": number,
                    "mean": float(w.mean()),
                    "sd over images": float(w.std(0).mean()),
                    "experts at work": effective(w),
                    "most chosen %": 100 * float(chosen.max()),
                    "never chosen": int((chosen == 0).sum()),
                    "_shares": w.mean(0) / w.mean(0).sum(),
                }


def _by_kind(rows, key):
    return {
        kind: float(np.mean([row[key] for row in rows if row["routing"] == kind]))
        for kind in KINDS
    }


def _collapse_conclusions(rows):
    at_work, most = _by_kind(rows, "experts at work"), _by_kind(rows, "most chosen %")
    spread = _by_kind(rows, "sd over images")
    return [
        "A few experts may take all the work. Here, of "
        f"{COUNT} experts, by the entropy of their mean shares, work: "
        + ", ".join(f"{kind} {n:.2f}" for kind, n in at_work.items())
        + ".",
        "The one with the largest weight is the same for so many of the images: "
        + ", ".join(f"{kind} {n:.0f} %" for kind, n in most.items())
        + ".",
        "How much an expert's weight differs between images (standard deviation): "
        + ", ".join(f"{kind} {n:.3f}" for kind, n in spread.items())
        + ".",
    ]


def _collapse_picture(rows, path):
    figure = pictures.new_figure(9, 5.2)
    grid = figure.subplots(2, len(KINDS), sharey=True)
    for column, kind in enumerate(KINDS):
        for layer in (1, 2):
            axes = grid[layer - 1][column]
            shares = [
                np.sort(row["_shares"])[::-1]
                for row in rows
                if row["routing"] == kind and row["layer"] == layer
            ]
            for share in shares:
                axes.plot(range(1, COUNT + 1), share, "o-", alpha=0.5, markersize=4)
            axes.axhline(1 / COUNT, color="k", linestyle=":", linewidth=1)
            axes.set_ylim(0, 1)
            axes.set_xticks(range(1, COUNT + 1))
            if layer == 1:
                axes.set_title(kind.replace(", ", "\n"), fontsize=9)
            if column == 0:
                axes.set_ylabel(f"layer {layer}: mean share")
    figure.supxlabel("experts, the busiest first; a line for each seed")
    figure.suptitle("expert-collapse: who does the work")
    return pictures.save(figure, path)


COLLAPSE = Measurement(
    "expert-collapse",
    "do a few experts take all the work?",
    "Yang et al. 2019; Chen et al. 2020",
    _collapse_rows,
    _collapse_conclusions,
    _collapse_picture,
)

EXPERIMENTS = (EXPERTS, TEMPERATURE, COLLAPSE)
