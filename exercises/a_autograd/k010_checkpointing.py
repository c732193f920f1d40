"""k010: Checkpointing

**** | 30 minutes | after k002

The way back through a chain of n steps needs what went into each of them on the way
forward (k002), so a deep network keeps n arrays. Checkpointing keeps every k-th only,
and makes the others again, one segment at a time, when their turn comes:

    forward      x0 - x1 - x2 - x3 - x4 - x5 - x6 - x7 - y        8 steps, k = 3
    kept         x0           x3           x6

    backward     from x6 make x7;          through steps 7, 6;    forget x7
                 from x3 make x4, x5;      through steps 5, 4, 3; forget them
                 from x0 make x1, x2;      through steps 2, 1, 0

The gradient is the same to the last bit. Two numbers change:

    arrays at a time     about n / k + k        instead of n; least at k = sqrt(n)
    forward steps        2 n - (number kept)    instead of n; both ways together

The last step of a segment is not run again: what comes out of it nobody asks for, since
its backward needs only what went in. (A segment may still be in memory while the next
is made, but no third one.) A thousand steps fit into the memory of 63, for the price of
a second forward pass.

Shapes: x, y and everything between are arrays; g is like y, the result like x. A step
is a pair (forward, backward): y = forward(x), gx = backward(g, x). At least one step.
Source: Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost",
2016; Griewank and Walther, "Revolve", 2000.
Checked: gradients of random chains, also where n is no multiple of k, and k = 1 and
k > n; how often each forward and backward is called, and in which order; how many
arrays are alive at a time.
"""


def forward_checkpointed(steps, x, every):
    """Run x through all steps; gives (y, kept).

    kept is the list of what goes into steps 0, every, 2 * every, ...; nothing else
    stays in memory. Each forward is called once. (Copies in kept are right, too.)
    """
    raise NotImplementedError("k010: write forward_checkpointed")


def backward_checkpointed(g, kept, steps, every):
    """The gradient by the input of the chain, from g, the gradient by its output.

    kept comes from `forward_checkpointed`, and is not changed. Each backward is called
    once; each forward once, but for the last of every segment, which is not called.
    What was made again for one segment is forgotten when the next has been made: never
    is more in memory than kept and two segments.
    """
    raise NotImplementedError("k010: write backward_checkpointed")
