"""Batches of arrays in an order that can be repeated and resumed at any point."""

import operator
import queue
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

from ..errors import ArgumentError, DataError

# Streams of random numbers that never meet, whatever the seed.
ORDER, TRANSFORM = 0, 1

Batch = tuple[np.ndarray, np.ndarray]
Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class DataLoader:
    """Iterate over ``(x, y)`` in batches, each iteration one epoch.

    The order depends on (seed, epoch) alone, and the random numbers of the transform on
    (seed, epoch, batch) alone: a run resumed at any batch sees what the whole run saw.

    Shapes: x (N, ...), y (N, ...); a batch is (batch_size, ...), the last one shorter.
    Args: drop_last leaves a shorter last batch out; transform maps ``(x_batch, rng)``
    to a new x_batch; prefetch is the number of batches that a background thread makes
    ready ahead of time, 0 for no thread.
    Raises: ArgumentError for an option out of range; DataError for empty data or
    lengths that differ.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | None = None,
        prefetch: int = 2,
    ):
        self.x, self.y = np.asanyarray(x), np.asanyarray(y)
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise DataError(
                "DataLoader: x and y must be arrays of the same length; "
                f"got shapes {self.x.shape} and {self.y.shape}"
            )
        if len(self.x) == 0:
            raise DataError("DataLoader: x must hold at least one sample; got none")
        self.batch_size = _integer("batch_size", batch_size, 1)
        self.seed = _integer("seed", seed, 0)
        self.prefetch = _integer("prefetch", prefetch, 0)
        if transform is not None and not callable(transform):
            raise ArgumentError(
                f"DataLoader: transform must be callable; got {transform!r}"
            )
        self.shuffle, self.drop_last, self.transform = shuffle, drop_last, transform
        if len(self) == 0:
            raise ArgumentError(
                f"DataLoader: batch_size must be <= {len(self.x)} samples with "
                f"drop_last; got {batch_size}"
            )
        self._next_epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.x), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Epoch 0 at the first call, epoch 1 at the next, and so on."""
        number = self._next_epoch
        self._next_epoch += 1
        return self.epoch(number)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``number`` from batch ``start`` on.

        Raises: ArgumentError unless number >= 0 and 0 <= start <= len(self).
        """
        number = _integer("number", number, 0)
        start = _integer("start", start, 0)
        if start > len(self):
            raise ArgumentError(
                f"DataLoader: start must be <= {len(self)} batches; got {start}"
            )
        batches = self._batches(number, start)
        return _prefetched(batches, self.prefetch) if self.prefetch else batches

    def _batches(self, number, start):
        order = None
        if self.shuffle:
            order = self._generator(ORDER, number).permutation(len(self.x))
        for index in range(start, len(self)):
            begin = index * self.batch_size
            chosen = slice(begin, begin + self.batch_size)
            if order is None:  # a copy, lest a change to a batch reach the data
                x, y = self.x[chosen].copy(), self.y[chosen].copy()
            else:
                x, y = self.x[order[chosen]], self.y[order[chosen]]
            if self.transform is not None:
                x = self.transform(x, self._generator(TRANSFORM, number, index))
            yield x, y

    def _generator(self, *key):
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _prefetched(batches, depth):
    """Run ``batches`` in a thread that stays at most ``depth`` batches ahead."""
    ready = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(
        target=_produce, args=(batches, ready, stop), name="minidl-loader", daemon=True
    )
    try:
        thread.start()
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        # Reached when the epoch ends, and as well when the consumer breaks off. After
        # the queue is emptied one waiting put() can go through, and then sees `stop`.
        value = None  # an exception would hold this frame, and the frame it: a cycle
        stop.set()
        # While the interpreter exits a daemon thread is frozen, maybe with the lock of
        # the queue in its hand: waiting for it would wait for ever.
        if not sys.is_finalizing() and thread.ident is not None:
            while not ready.empty():
                ready.get_nowait()
            thread.join()


def _produce(batches, ready, stop):
    try:
        for batch in batches:
            if stop.is_set():
                return
            ready.put(("batch", batch))
            if stop.is_set():
                return
        ready.put(("end", None))
    except BaseException as error:  # noqa: BLE001 (the consumer raises whatever it is)
        ready.put(("error", error))
    finally:
        batches.close()


def _integer(name, value, least):
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ArgumentError(
            f"DataLoader: {name} must be an integer >= {least}; got {value!r}"
        )
    return number
