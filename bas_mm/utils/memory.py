"""How the memory of a process is kept."""

import ctypes
import sys

#: Of ``mallopt`` in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: The largest value that it takes, bytes: above every tensor of a batch.
LARGEST = 2**31 - 1


def keep_memory() -> bool:
    """Let the process keep the memory that it frees, for its next use.

    By default glibc maps each large block anew and hands it back once it is
    free, so that the kernel clears the pages of every feature map at every step
    on a CPU. Results are the same; the process holds its largest extent until it
    ends.

    Returns:
        Whether it was set: glibc alone knows the setting.

    Example:
        >>> keep_memory() in (True, False)
        True
    """
    if not sys.platform.startswith('linux'):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:  # musl
        return False
    options = (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
    return all(mallopt(option, LARGEST) == 1 for option in options)
