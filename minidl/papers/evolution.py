"""Search by evolution under a limit: the better half has children.

Liu et al., "MetaPruning", ICCV 2019, arXiv 1903.10258, algorithm 1.

A candidate is a list of whole numbers (genes), each one of ``choices``. The best of a
population become parents. The next one has

    the parents themselves
    mutants    a parent, each gene drawn anew with probability p
    crossed    each gene from one of two parents
    random     all genes drawn, until there are enough

Every candidate keeps the limit. Draws come from minidl's generator.

Shapes: a population (P, genes), scores (P,).

Deviations: the paper throws candidates beyond the limit away and draws again. Here they
are lowered, a gene at a time, until they fit: so a tight limit cannot stop the search.
Parents stay and are scored again; the paper remembers their scores.
"""

from collections.abc import Callable

import numpy as np

from .. import random
from ..errors import ArgumentError, ShapeError
from ..nn._arguments import number, whole

Fits = Callable[[np.ndarray], bool]


def lowered(genes: np.ndarray, fits: Fits) -> np.ndarray:
    """The candidate, one gene after another lowered by 1 until it fits.

    Raises: ArgumentError where not even all zeros fit.
    """
    genes = genes.copy()
    while not fits(genes):
        high = np.flatnonzero(genes)
        if not len(high):
            raise ArgumentError("evolution: limit must let the smallest candidate in")
        genes[random.generator().choice(high)] -= 1
    return genes


def first_population(size: int, genes: int, choices: int, fits: Fits) -> np.ndarray:
    """Random candidates, each gene 0 ... choices - 1.

    Raises: ArgumentError.
    """
    for name, value in (("size", size), ("genes", genes), ("choices", choices)):
        whole("evolution", name, value)
    drawn = random.generator().integers(choices, size=(size, genes))
    return np.stack([lowered(row, fits) for row in drawn])


def next_population(
    population: np.ndarray,
    scores: np.ndarray,
    choices: int,
    fits: Fits,
    parents: int = 10,
    mutants: int = 25,
    crossed: int = 25,
    p: float = 0.1,
) -> np.ndarray:
    """A population of the same size, the ``parents`` with the best scores at its head.

    Raises: ShapeError; ArgumentError where the three kinds exceed the population.
    """
    size, genes = population.shape
    if np.shape(scores) != (size,):
        raise ShapeError(
            f"evolution: scores must be ({size},), one a candidate; got "
            f"{np.shape(scores)}"
        )
    for name, value in (("parents", parents), ("choices", choices)):
        whole("evolution", name, value)
    whole("evolution", "mutants", mutants, 0)
    whole("evolution", "crossed", crossed, 0)
    number("evolution", "p", p, 0, 1)
    if parents + mutants + crossed > size:
        raise ArgumentError(
            f"evolution: parents, mutants and crossed must be at most {size} together; "
            f"got {parents} + {mutants} + {crossed}"
        )
    draw = random.generator()
    best = population[np.argsort(-np.asarray(scores), kind="stable")[:parents]]
    anew = draw.integers(choices, size=population.shape)  # more than are needed
    mutated = np.where(
        draw.random((mutants, genes)) < p,
        anew[:mutants],
        best[draw.integers(parents, size=mutants)],
    )
    first, second = (best[draw.integers(parents, size=crossed)] for _ in range(2))
    children = np.where(draw.random((crossed, genes)) < 0.5, first, second)
    rows = np.concatenate([mutated, children, anew[parents + mutants + crossed :]])
    return np.stack([*best, *(lowered(row, fits) for row in rows)])
