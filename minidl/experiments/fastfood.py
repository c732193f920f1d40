"""Four questions about Fastfood: its kernel, its nets, its speed, its transform."""

import math
import time
import tracemalloc

import numpy as np

from .. import functional as F
from .. import kernels, models, nn, pictures, random
from ..autograd import grad
from ..papers import fastfood, random_features, svd_compression
from ..tensor import Tensor
from .measurement import Measurement, Task
from .study import Claim, Experiment, Variant

# The kernel: how far off are products of random features?

POINTS = 200


def _points(task: Task) -> tuple[np.ndarray, float]:
    """Test images as points (N, pixels), and the width of a kernel for them."""
    x = task.images.x_test[:POINTS].reshape(len(task.images.x_test[:POINTS]), -1)
    x = (x / 255.0).astype(np.float64)
    return x, random_features.median_distance(x)


def _error(features, x, exact) -> float:
    """Root of the mean squared error over all pairs of different points."""
    phi = features(Tensor(x)).data
    above = np.triu_indices(len(x), 1)
    return float(np.sqrt(np.mean((phi @ phi.T - exact)[above] ** 2)))


def _kernel_rows(task: Task):
    random.manual_seed(0)
    x, sigma = _points(task)
    exact = random_features.rbf_kernel(x, x, sigma)
    double = random_features.rbf_kernel(2 * x, 2 * x, sigma)
    above = np.triu_indices(len(x), 1)
    for n in (64, 256) if task.quick else (64, 128, 256, 512, 1024, 2048, 4096):
        found = {"Gaussian": [], "Fastfood": []}
        for seed in range(task.seeds):
            random.manual_seed(seed)
            size = x.shape[1], n, sigma
            for name, features in (
                ("Gaussian", random_features.random_features(*size)),
                ("Fastfood", fastfood.fastfood_features(*size)),
            ):
                found[name].append(_error(features.to("float64"), x, exact))
        theory = random_features.variance(exact, double, 2 * n)[above]
        yield {
            "rows n": n,
            "formula": float(np.sqrt(theory.mean())),
            **{name: float(np.mean(errors)) for name, errors in found.items()},
            "ratio": float(np.mean(found["Fastfood"]) / np.mean(found["Gaussian"])),
        }


def _slope(rows, name) -> float:
    """How the logarithm of the error falls with that of n."""
    n, error = (np.log([row[key] for row in rows]) for key in ("rows n", name))
    return float(np.polyfit(n, error, 1)[0])


def _kernel_conclusions(rows):
    slopes = {name: _slope(rows, name) for name in ("Gaussian", "Fastfood")}
    ratio = float(np.mean([row["ratio"] for row in rows]))
    return [
        "Errors fall as 1 / sqrt(n), a slope of -0.5. Here: "
        + ", ".join(f"{name} {slope:.2f}" for name, slope in slopes.items())
        + ".",
        f"Fastfood is about as good as Gaussian rows. Here: its errors are {ratio:.2f} "
        "times theirs, on average over n.",
    ]


def _kernel_picture(rows, path):
    figure = pictures.new_figure(6.5, 4.2)
    axes = figure.subplots()
    n = [row["rows n"] for row in rows]
    axes.loglog(n, [row["formula"] for row in rows], "k--", label="formula, Gaussian")
    for name, mark in (("Gaussian", "o-"), ("Fastfood", "s-")):
        axes.loglog(n, [row[name] for row in rows], mark, label=name)
    axes.set_xticks(n, [f"{k:,}" for k in n])
    errors = [0.005, 0.01, 0.02, 0.05]
    axes.set_yticks(errors, [f"{e:g}" for e in errors])
    axes.minorticks_off()
    axes.set_xlabel("rows n (paired: 2 n features)")
    axes.set_ylabel("error of the Gram matrix, RMS")
    axes.set_title("fastfood-kernel: random features against the RBF kernel")
    axes.grid(alpha=0.3)
    axes.legend()
    return pictures.save(figure, path)


KERNEL = Measurement(
    "fastfood-kernel",
    "is Fastfood's kernel as good as that of Gaussian rows?",
    "Le et al. 2013",
    _kernel_rows,
    _kernel_conclusions,
    _kernel_picture,
    seeds=10,
)


# The nets: what does a Fastfood layer in place of the large dense one cost?


def _named(name):
    return lambda shape, classes: models.create(name, shape, classes)


def _hidden(model) -> str:
    """The path of the hidden layer, whole or a pair."""
    return next(k for k, m in model.named_children() if isinstance(m, nn.Linear))


def _cut(rank):
    """A function that cuts a trained net's hidden layer down to a rank."""
    return lambda model: svd_compression.compress(model, {_hidden(model): rank})


def _as_it_is(model):
    return model


MNIST = Experiment(
    "fastfood-mnist",
    "does Fastfood replace LeNet's dense layer?",
    "Yang et al. 2015",
    (
        Variant("reference", _named("lenet-reference")),
        Variant("Fastfood 1024", _named("fastfood-1024")),
        Variant("Fastfood 2048", _named("fastfood-2048")),
        Variant("Adaptive 1024", _named("adaptive-fastfood-1024")),
        Variant("Adaptive 2048", _named("adaptive-fastfood-2048")),
        Variant("SVD, rank 125", _cut(125), after="reference", epochs=0),
        Variant("rank 125, tuned", _as_it_is, after="SVD, rank 125", epochs=2),
        Variant("SVD, rank 16", _cut(16), after="reference", epochs=0),
        Variant("rank 16, tuned", _as_it_is, after="SVD, rank 16", epochs=2),
    ),
    (
        Claim(
            "With an eighth of the weights, Fastfood is as good as the reference, or "
            "better.",
            "Fastfood 2048",
            "reference",
        ),
        Claim(
            "Trained diagonals are no better than random ones on MNIST (the paper: "
            "0.72 against 0.71 % errors); on ImageNet they are.",
            "Fastfood 1024",
            "Adaptive 1024",
        ),
        Claim(
            "Adaptive Fastfood beats a dense layer cut by SVD to as many weights.",
            "Adaptive 2048",
            "rank 16, tuned",
        ),
        Claim(
            "Fine-tuning wins back what the cut lost.",
            "rank 16, tuned",
            "SVD, rank 16",
        ),
    ),
    epochs=8,
    lr=3e-3,
    weigh=fastfood.count_weights,
)


# The speed: from which size on is Fastfood faster than a dense layer?

BATCH = 64


def _timed(layer, d):
    """Milliseconds of forward and backward, the best of a few; MiB at the peak."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((BATCH, d), np.float32), True)
    g = Tensor(rng.standard_normal((BATCH, d), np.float32))
    wanted = [x, *layer.parameters()]

    def step():
        grad(layer(x), wanted, g)

    step()  # compiles
    times = []
    while sum(times) < 0.3 or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    kernels.release()
    tracemalloc.start()
    try:
        step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    own = sum(t.data.nbytes for t in layer.state_dict().values())
    return 1000 * min(times), (peak + own) / 2**20


def _speed_rows(task: Task):
    sizes = [2**k for k in range(8, 11 if task.quick else 15)]
    for d in sizes:
        row = {"d": d}
        for name, make in (
            ("dense", lambda: nn.Linear(d, d, bias=False)),
            ("Fastfood", lambda: fastfood.Fastfood(d, d, adaptive=True)),
        ):
            layer = make()
            row[f"{name} ms"], row[f"{name} MiB"] = _timed(layer, d)
            row[f"{name} weights"] = sum(p.numel() for p in layer.parameters())
        row["times"] = row["dense ms"] / row["Fastfood ms"]
        yield row


def _speed_conclusions(rows):
    ahead = [row["d"] for row in rows if row["times"] > 1]
    since = f"from d = {min(ahead):,} on" if ahead else "at no size measured"
    last = rows[-1]
    return [
        f"n log d beats n d for large layers. Here: Fastfood is faster {since}; with "
        f"d = {last['d']:,} {last['times']:.0f} times, forward and backward of "
        f"{BATCH} rows.",
        f"It needs 3 n numbers in place of n d. Here, with d = {last['d']:,}: "
        f"{last['Fastfood MiB']:.0f} MiB at the peak, gradients and what is between "
        f"included, against {last['dense MiB']:,.0f}.",
    ]


def _speed_picture(rows, path):
    figure = pictures.new_figure(9.5, 3.8)
    d = [row["d"] for row in rows]
    for axes, what, title in zip(
        figure.subplots(1, 3),
        ("ms", "MiB", "weights"),
        ("forward and backward, ms", "memory at the peak, MiB", "weights"),
    ):
        for name, mark in (("dense", "o-"), ("Fastfood", "s-")):
            axes.loglog(d, [row[f"{name} {what}"] for row in rows], mark, label=name)
        axes.set_xticks(d[::2], [f"{k:,}" for k in d[::2]])
        axes.minorticks_off()
        axes.set_xlabel("d")
        axes.set_title(title)
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(f"fastfood-speed: d x d layers, {BATCH} rows")
    return pictures.save(figure, path)


SPEED = Measurement(
    "fastfood-speed",
    "from which size on is Fastfood faster than a dense layer?",
    "Le et al. 2013",
    _speed_rows,
    _speed_conclusions,
    _speed_picture,
    seeds=1,
)


# The transform: where is an image's energy, by sequency?


def _both(x, transform):
    """A transform of all rows, then of all columns, of an array (n, n)."""
    rows = transform(Tensor(x)).transpose(0, 1)
    return transform(rows).transpose(0, 1).data


def _spectrum(image):
    """The Walsh-Hadamard transform of rows and columns, in sequency order."""
    return _both(image, lambda x: F.to_sequency(F.fwht(x)))


def _image_of(spectrum):
    """The image again: H is its own inverse, up to n for rows and n for columns."""
    return _both(spectrum, lambda x: F.fwht(F.from_sequency(x))) / spectrum.size


def _square(image):
    """One channel, the mean of all, filled up to the next power of two."""
    image = image.mean(axis=0) / 255.0
    n = 1 << (max(image.shape) - 1).bit_length()
    return np.pad(image, [(0, n - size) for size in image.shape])


def _spectrum_rows(task: Task):
    """The low sequencies of one image alone, fewer and fewer, and means over many."""
    count = 20 if task.quick else 500
    images = [_square(image) for image in task.images.x_test[:count]]
    spectra = [_spectrum(image) for image in images]
    side = len(images[0])
    while side >= 2:
        kept, errors = [], []
        for image, spectrum in zip(images, spectra):
            low = np.zeros_like(spectrum)
            low[:side, :side] = spectrum[:side, :side]
            kept.append((low**2).sum() / (spectrum**2).sum())
            errors.append(np.mean((_image_of(low) - image) ** 2))
            if image is images[0]:
                shown = _image_of(low)
        error = float(np.mean(errors))
        yield {
            "sequencies": f"{side} x {side}",
            "numbers": side * side,
            "energy %": 100 * float(np.mean(kept)),
            "PSNR dB": -10 * math.log10(error) if error > 1e-20 else math.inf,
            "_image": shown,
            "_spectrum": spectra[0],
        }
        side //= 2


def _spectrum_conclusions(rows):
    half = rows[1]
    return [
        "Most of an image's energy lies in the low sequencies, as it does in low "
        f"frequencies. Here: a quarter of the numbers holds {half['energy %']:.1f} % "
        f"of it, and gives the image back at {half['PSNR dB']:.1f} dB, on average."
    ]


def _spectrum_picture(rows, path):
    figure = pictures.new_figure(2.2 * (len(rows) + 1), 2.9)
    first, *others = figure.subplots(1, len(rows) + 1)
    spectrum = np.log10(np.abs(rows[0]["_spectrum"]) + 1e-3)
    first.imshow(spectrum, cmap="magma")
    first.set_title("log |spectrum|", fontsize=10)
    first.set_xlabel("sequency of columns", fontsize=8)
    first.set_ylabel("sequency of rows", fontsize=8)
    for axes, row in zip(others, rows):
        axes.imshow(row["_image"], cmap="gray", vmin=0, vmax=1)
        title = f"{row['sequencies']}: {row['energy %']:.1f} %"
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    figure.suptitle("hadamard-spectrum: an image from its low sequencies", fontsize=11)
    return pictures.save(figure, path)


SPECTRUM = Measurement(
    "hadamard-spectrum",
    "where is an image's energy, by sequency?",
    "Beauchamp 1984",
    _spectrum_rows,
    _spectrum_conclusions,
    _spectrum_picture,
    seeds=1,
)

EXPERIMENTS = (KERNEL, MNIST, SPEED, SPECTRUM)
