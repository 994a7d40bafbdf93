"""What a data set found in its folders, kept in a file until they change."""

import hashlib
import json
import os
import os.path as osp
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import MMLogger

from bas_mm.datasets.packed import PackedInfos
from bas_mm.utils.files import write_atomic

#: Fewer images than this are listed as quickly as an index is read.
WORTH = 20_000
#: Two changes within this time may leave a file the same time stamp, seconds.
TICK = 2.0


def index_folder() -> Path:
    """Give the folder of the indices: ``bas_mm`` in the user's cache folder."""
    cache = os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache')
    return Path(cache) / 'bas_mm'


def walk_folders(root: str) -> Iterator[str]:
    """List a folder and all folders in it, links followed."""
    for folder, _, _ in os.walk(root, followlinks=True):
        yield folder


class _Stamps(NamedTuple):
    """Files and folders, and what tells that they have changed.

    Attributes:
        paths: The paths.
        marks: Shape ``(n, 3)``, int64: time of the last change in nanoseconds,
            size, and number in the file system; 0 for what does not exist.
    """

    paths: list[str]
    marks: np.ndarray

    @classmethod
    def take(cls, paths: Iterable[str]) -> '_Stamps':
        """Look files and folders up."""
        listed = list(paths)
        marks = np.array([_mark(path) for path in listed], np.int64)
        return cls(listed, marks.reshape(-1, 3))


def _mark(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    # times may be before 1970, numbers may use all 64 bits
    return found.st_mtime_ns, found.st_size, found.st_ino & (2**63 - 1)


class IndexFile:
    """A file of infos, and of what they were made of.

    A folder changes when a file in it comes, goes or gets another name; its images
    are not looked at. The infos are pickles, which run code when they
    are read: the folder is the user's own.

    Args:
        settings: What the infos depend on beside files; another setting is
            another index.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        text = json.dumps(settings, sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.path = index_folder() / f'{name}.index'

    def infos(
        self,
        make: Callable[[], PackedInfos],
        sources: Callable[[], Iterable[str]],
    ) -> PackedInfos:
        """Read the infos; make them where the file is absent or something changed.

        What was made is written, for the next time, if it is worth it. A file that
        cannot be written costs that time, nothing else.

        Args:
            make: Makes them.
            sources: Gives the files and folders that they are made of; nothing, to
                keep nothing.
        """
        found = self._read()
        if found is not None:
            return found
        started = time.time_ns()
        infos = make()
        if len(infos) >= WORTH:
            stamps = _Stamps.take(sources())
            times = stamps.marks[:, 0]
            settled = started - times.max(initial=0) > TICK * 1e9
            if stamps.paths and settled and times.all():
                self._write(infos, stamps)
        return infos

    def _read(self) -> PackedInfos | None:
        try:
            with open(self.path, 'rb') as file:
                head = json.loads(file.readline())
                names = file.read(head['names']).decode('utf-8', 'surrogateescape')
                marks, ends = (
                    np.fromfile(file, np.int64, head[k]) for k in ('marks', 'ends')
                )
                now = _Stamps.take(names.split('\0'))
                if not np.array_equal(now.marks.ravel(), marks):
                    return None
                data = np.fromfile(file, np.uint8, head['data'])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            MMLogger.get_current_instance().warning(
                f'The index {self.path} cannot be read ({error}): it is made anew.'
            )
            return None
        if len(ends) != head['ends'] or len(data) != head['data']:
            return None  # cut off
        MMLogger.get_current_instance().info(
            f'{len(ends)} images from the index {self.path}.'
        )
        return PackedInfos(data, ends)

    def _write(self, infos: PackedInfos, stamps: _Stamps) -> None:
        names = '\0'.join(stamps.paths).encode('utf-8', 'surrogateescape')
        sizes = dict(
            names=len(names),
            marks=stamps.marks.size,
            ends=len(infos.ends),
            data=len(infos.data),
        )
        head = f'{json.dumps(sizes)}\n'.encode()
        arrays = stamps.marks, infos.ends, infos.data
        try:
            write_atomic(
                self.path, [head, names, *(a.view(np.uint8).data for a in arrays)]
            )
        except OSError as error:
            MMLogger.get_current_instance().info(f'No index is kept: {error}.')
