"""One training in one work dir."""

import contextlib
import os
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: The file that is locked, in the work dir.
LOCK = '.training'
#: Number of the process, by what started it.
_RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


@contextlib.contextmanager
def work_dir_lock(work_dir: str, launcher: str = 'none') -> Iterator[None]:
    """Keep other trainings out of a work dir.

    The system frees the lock when the process ends, however that happens, so
    that no file that is left behind keeps anybody out. Of the processes of a
    distributed training the first takes it. Where files cannot be locked, a
    warning says so.

    Args:
        work_dir: The folder; it is made.
        launcher: What started the processes, as in ``--launcher``.

    Raises:
        FileExistsError: If another training runs there; names it.
    """
    if fcntl is None or not is_first(launcher, os.environ):
        yield
        return
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    with open(Path(work_dir) / LOCK, 'a+') as file:
        try:
            # of a process, not of an open file: workers do not inherit it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = file.read().strip() or 'another process'
            raise FileExistsError(
                f'A training runs in {work_dir!r} already: {owner}. Wait for it or '
                'stop it, or give this one another folder with --work-dir.'
            ) from error
        except OSError as error:
            warnings.warn(
                f'{work_dir!r} cannot be locked ({error.strerror}): take care that no '
                'second training is started there.',
                stacklevel=3,
            )
            yield
            return
        since = time.strftime('%Y-%m-%d %H:%M:%S')
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}, since {since}\n')
        file.flush()
        yield


def is_first(launcher: str, environ: Mapping[str, str]) -> bool:
    """Tell whether this is the first process of a training.

    Args:
        launcher: What started the processes.
        environ: The environment.

    Example:
        >>> is_first('pytorch', {'RANK': '1'}), is_first('none', {'RANK': '1'})
        (False, True)
    """
    return environ.get(_RANKS.get(launcher, ''), '0') == '0'
