"""k055: Temperature annealing

** | 15 minutes | after k054

While the shares of dynamic convolution (k054) are nearly even, all kernels are used for
every image, and all of them learn. Later they shall differ. So the temperature is high
at first and comes down in a line, from 30 to 1 over the first ten epochs of training:

    T
    30 *                              T(epoch) = start + (end - start) * epoch / epochs
       |  *                                      for epoch < epochs
       |     *                        T(epoch) = end         from then on
       |        *
     1 |           *  *  *  *         epoch 0 is the first; epoch `epochs` has `end`
       0 1 2 ...  10 11 12   epoch

An epoch is many steps. Two habits are common:

    by epoch    T stays as it is during an epoch: that of its beginning
    by step     T comes down a little at every step; epoch is step / steps_per_epoch,
                which need not be a whole number

Both begin at `start` in step 0, agree where an epoch begins, and stay at `end` after
`epochs` epochs, however long training goes on.

All results are numbers, right but for roundings (1e-12 times the larger of start and
end). `start` and `end` are any numbers above 0, also `start` below or equal to `end`.
epochs and steps_per_epoch are 1 or more, step is 0 or more: whole numbers, up to 10**9.
epoch is any number from 0 on.
Source: Chen, Dai, Liu, Chen, Yuan and Liu, "Dynamic convolution: Attention over
convolution kernels", CVPR 2020.
Checked: 30 at first, 1 from epoch 10 on; other numbers, exactly, within epochs as well;
every step of some trainings, by epoch and by step; invariants of both.
"""


def temperature(epoch, start=30.0, end=1.0, epochs=10):
    """T after ``epoch`` epochs, which may be a fraction: a number."""
    raise NotImplementedError("k055: write temperature")


def temperature_of_step(
    step, steps_per_epoch, by_step=False, start=30.0, end=1.0, epochs=10
):
    """T of a step of training, counted from 0 over all epochs: a number.

    ``by_step``: T changes with every step, else only when an epoch begins.
    """
    raise NotImplementedError("k055: write temperature_of_step")
