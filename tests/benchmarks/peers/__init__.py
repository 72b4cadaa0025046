"""One module per contestant; each runs in a process of its own, the peers in a virtual environment of their own.

A module has `reset()` (an empty queue, tables made), `fill(n, seconds)` (the quickest way it has to submit n tasks that
each sleep so long) and its workers. Those whose submission is measured have `submit_each(numbers)`, one by one; those
that record the end of a task themselves have `settled(n)`, the time at which the last of n tasks was recorded.
"""
