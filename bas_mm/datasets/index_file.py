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
    """Files and folders, and when they were changed last.

    Attributes:
        paths: The paths.
        times: Shape ``(n,)``, int64, nanoseconds; 0 for what does not exist.
    """

    paths: list[str]
    times: np.ndarray

    @classmethod
    def take(cls, paths: Iterable[str]) -> '_Stamps':
        """Look up when files and folders were changed last."""
        listed = list(paths)
        return cls(listed, np.array([_changed(path) for path in listed], np.int64))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


class IndexFile:
    """A file of infos, and of what they were made of.

    A folder changes when a file in it comes, goes or gets another name; what is
    in an image is not in its info. The infos are pickles, which run code when they
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
            settled = started - stamps.times.max(initial=0) > TICK * 1e9
            if stamps.paths and settled and stamps.times.all():
                self._write(infos, stamps)
        return infos

    def _read(self) -> PackedInfos | None:
        try:
            with open(self.path, 'rb') as file:
                head = json.loads(file.readline())
                names = file.read(head['names']).decode('utf-8', 'surrogateescape')
                times, ends = (
                    np.fromfile(file, np.int64, head[k]) for k in ('times', 'ends')
                )
                paths = names.split('\0')
                if (_Stamps.take(paths).times != times).any():
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
            times=len(stamps.times),
            ends=len(infos.ends),
            data=len(infos.data),
        )
        head = f'{json.dumps(sizes)}\n'.encode()
        arrays = stamps.times, infos.ends, infos.data
        try:
            write_atomic(
                self.path, [head, names, *(a.view(np.uint8).data for a in arrays)]
            )
        except OSError as error:
            MMLogger.get_current_instance().info(f'No index is kept: {error}.')
