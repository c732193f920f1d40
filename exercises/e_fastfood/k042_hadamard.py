"""k042: The Hadamard matrix

** | 20 minutes | after k013

A Hadamard matrix has only 1 and -1 in it, and any two of its rows are orthogonal. The
best known ones are Sylvester's. Each is made of four copies of the one before:

    H_1 = [1]        H_2n = [H_n   H_n]        H_4 =  1  1  1  1
                            [H_n  -H_n]               1 -1  1 -1
                                                      1  1 -1 -1
                                                      1 -1 -1  1

    H_n H_n = n I        and H_n is symmetric

A product with H costs no multiplications, and mixes every number with every other. So
it can stand in for a random matrix once signs and an order are random; that is what
this track is about.

One entry can be had without the matrix. Row i and column j are counted from 0. Write
both in binary. One of the four blocks of H_2n has the minus sign, and it is the one
where both i and j have the highest bit. The same holds for every other bit within its
block, so the sign changes once for each bit that i and j have in common:

    H[i, j] = (-1) ** (number of bits that are 1 in both i and j)

Rows can be sorted like waves, from slow to fast. The measure is how often the sign
changes along a row; for n rows these are the numbers 0, 1, ..., n - 1, each once. It is
called the sequency, a frequency for square waves. Sorted so, they are called the Walsh
functions:

    row of H_4         0         1         2         3
                   1  1  1  1    1 -1  1 -1    1  1 -1 -1    1 -1 -1  1
    sign changes       0         3         1         2

    sequency_order(4) = [0 2 3 1]          H[sequency_order(n)] is sorted

The list says where each row comes from: place s has the number of the row of H with s
sign changes.

Shapes: hadamard(n) is (n, n), of whole numbers; i and j are whole numbers from 0 on,
of any size; sign_changes (m, n) -> (m,); sequency_order(n) is (n,).
Source: Sylvester, "Thoughts on inverse orthogonal matrices", 1867; Walsh, "A closed set
of normal orthogonal functions", 1923.
Checked: all entries against a loop, up to 512 rows; H H = n I; sizes that are no power
of two; entries at places far beyond any matrix; sign changes of H and of other rows;
the order, up to 512 rows.
"""

import numpy as np


def hadamard(n):
    """The matrix H_n, natural order: a new array of an integer dtype with a sign.

    Shapes: the result is (n, n).

    Raises: ValueError if n is no power of two (1 is one, 0 and less are none).
    """
    raise NotImplementedError("k042: write hadamard")


def entry(i, j):
    """1 or -1: the entry of H in row i and column j, for any n beyond both.

    i and j are Python's whole numbers, 0 or more; they may be as large as 10**30.
    """
    raise NotImplementedError("k042: write entry")


def sign_changes(rows):
    """How often the sign changes along each row: whole numbers, an integer dtype.

    rows are any rows of 1 and -1, not only those of H; whole numbers or floats.

    Shapes: rows (m, n), the result (m,).
    """
    raise NotImplementedError("k042: write sign_changes")


def sequency_order(n):
    """The numbers of the rows of H_n, sorted by their sign changes: an integer dtype.

    n is a power of two.

    Shapes: the result is (n,).
    """
    raise NotImplementedError("k042: write sequency_order")
