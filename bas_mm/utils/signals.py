"""Signals that a process takes for a while."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def taking_signals(
    numbers: Iterable[int], handler: Callable[[int, Any], Any]
) -> Iterator[None]:
    """Let a function take signals; only the main thread of a process can.

    Args:
        numbers: Of the signals.
        handler: Called with a number and the frame that it interrupts.

    Example:
        >>> with taking_signals([signal.SIGTERM], lambda *_: print('taken')):
        ...     signal.raise_signal(signal.SIGTERM)
        taken
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
