"""Work in threads, in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bas_mm.utils.progress import track

Item = TypeVar('Item')
Found = TypeVar('Found')


@contextmanager
def open_threads(workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Open threads; what has not begun when the block is left never does.

    Args:
        workers: Number of threads; by default twice the number of cores.
    """
    pool = ThreadPoolExecutor(workers or 2 * (os.cpu_count() or 1))
    wait = True
    try:
        yield pool
    except GeneratorExit:
        # maybe from the garbage collector, while a lock is held that they wait for
        wait = False
        raise
    finally:
        pool.shutdown(wait, cancel_futures=True)


def run_ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Found],
    items: Iterable[Item],
    ahead: int,
) -> Iterator[Future[Found]]:
    """Work in threads, in order, a few items before they are asked for.

    Args:
        pool: The threads.
        work: What is done with an item.
        items: Read one by one.
        ahead: How many may be done or under way, and not asked for.

    Yields:
        The future of each item.

    Example:
        >>> with open_threads() as pool:
        ...     [one.result() for one in run_ahead(pool, abs, [-1, 2], ahead=4)]
        [1, 2]
    """
    waiting: deque[Future[Found]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def run_parallel(
    work: Callable[[Item], Found],
    items: Iterable[Item],
    workers: int | None = None,
    label: str = '',
) -> Iterator[Found]:
    """Work in threads, in order; decoding, drawing and waiting overlap.

    Args:
        work: What is done with an item.
        items: Of all there are.
        workers: Number of threads; by default twice the number of cores.
        label: Of the bar; '' for none.

    Yields:
        What ``work`` gives, for each item.

    Example:
        >>> list(run_parallel(abs, [-1, 2]))
        [1, 2]
    """
    items = list(items)
    with open_threads(workers) as pool:
        found: Any = pool.map(work, items)
        yield from track(found, label, len(items)) if label else found
