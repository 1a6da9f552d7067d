"""How many threads the matrix products use."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_blas_thread() -> threadpool_limits:
    """Context in which each matrix product uses one thread.

    For many small products: the threads of one product would wait for each other longer than they work, above all on a
    machine that does something else beside it. Entering costs about a millisecond.
    """
    return threadpool_limits(1, user_api="blas")
