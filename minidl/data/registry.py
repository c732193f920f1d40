"""The table of named data sets: one row says everything that minidl knows of a set."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import unknown_name

DEFAULT = "fashion-mnist-mini"
EMBEDDED_FILE = Path(__file__).with_name("fashion_mnist_mini.npz")
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FASHION = (
    "T-shirt/top, Trouser, Pullover, Dress, Coat, "
    "Sandal, Shirt, Sneaker, Bag, Ankle boot"
)
DIGITS = "0 1 2 3 4 5 6 7 8 9"
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach
couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster
house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Source:
    """One named data set.

    Args: layout is ``npz``, ``idx``, ``cifar10`` or ``cifar100``; mirrors are base
    addresses tried in order; files maps what is downloaded to its MD5 checksum, and
    members (for an archive) what is taken out of it to its size in bytes; subfolders
    are where other tools put the files; first_labels tell two IDX sets apart, whose
    files have the same names.
    """

    name: str
    layout: str
    shape: tuple[int, int, int]
    classes: list[str]
    train: int
    test: int
    licence: str
    mirrors: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    subfolders: tuple[str, ...] = ()
    system_folder: str = ""
    system_package: str = ""
    first_labels: tuple[int, ...] = ()


ROWS = (
    Source(
        "fashion-mnist-mini", "npz", (1, 28, 28), FASHION.split(", "), 5_000, 1_000,
        "MIT",
    ),
    Source(
        "fashion-mnist", "idx", (1, 28, 28), FASHION.split(", "), 60_000, 10_000, "MIT",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
                "master/data/fashion/"
            ),
        ),
        files={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        subfolders=("FashionMNIST/raw",),
        system_folder="/usr/share/datasets/fashion-mnist",
        system_package="dataset-fashion-mnist",
        first_labels=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
    ),
    Source(
        "mnist", "idx", (1, 28, 28), DIGITS.split(), 60_000, 10_000,
        "CC BY-SA 3.0 (as commonly stated)",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        subfolders=("MNIST/raw",),
        first_labels=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    ),
    Source(
        "cifar10", "cifar10", (3, 32, 32), CIFAR10.split(), 50_000, 10_000,
        "none stated; cite Krizhevsky 2009",
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        files={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        members={
            "cifar-10-batches-bin/data_batch_1.bin": 30_730_000,
            "cifar-10-batches-bin/data_batch_2.bin": 30_730_000,
            "cifar-10-batches-bin/data_batch_3.bin": 30_730_000,
            "cifar-10-batches-bin/data_batch_4.bin": 30_730_000,
            "cifar-10-batches-bin/data_batch_5.bin": 30_730_000,
            "cifar-10-batches-bin/test_batch.bin": 30_730_000,
        },
        subfolders=("cifar-10-batches-bin",),
    ),
    Source(
        "cifar100", "cifar100", (3, 32, 32), CIFAR100.split(), 50_000, 10_000,
        "none stated; cite Krizhevsky 2009",
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        files={"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
        members={
            "cifar-100-binary/train.bin": 153_700_000,
            "cifar-100-binary/test.bin": 30_740_000,
        },
        subfolders=("cifar-100-binary",),
    ),
)  # fmt: skip
SOURCES = {row.name: row for row in ROWS}


def find(name: str) -> Source:
    """The row of a named data set.

    Raises: UnknownNameError, with the nearest names, when there is none.
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    return SOURCES[name]


def cache_folder() -> Path:
    """Where downloads go: ``minidl`` in XDG_CACHE_HOME, which defaults to ~/.cache.

    Source: freedesktop.org, XDG Base Directory Specification (a relative value counts
    as unset).
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "minidl"
