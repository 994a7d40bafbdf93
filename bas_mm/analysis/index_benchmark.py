"""What it takes to find out which images there are."""

import os
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple
from unittest import mock

from mmengine.config import Config

from bas_mm.datasets.index_file import index_folder
from bas_mm.engine.summary_hook import peak_memory
from bas_mm.utils.configs import build_dataset


class IndexTime(NamedTuple):
    """What it takes to list the images of a data set, with labels and boxes.

    Attributes:
        split: 'train' or 'test'.
        source: 'folders' or 'index'.
        images: Their number.
        seconds: On the clock.
        memory: Peak of the process up to now, MiB; None where it cannot be told.
    """

    split: str
    source: str
    images: int
    seconds: float
    memory: float | None


def time_index(cfg: Config) -> Iterator[IndexTime]:
    """Time how the data sets of a config list their images.

    Indices are kept in a folder that goes afterwards, not in the user's.

    Args:
        cfg: The config.

    Yields:
        For each split from its folders and lists; then, where that left an index
        (:class:`bas_mm.datasets.index_file.IndexFile`), from it.
    """
    for split in ('train', 'test'):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.dict(os.environ, XDG_CACHE_HOME=folder),
        ):
            yield _time(cfg, split, 'folders')
            if index_folder().exists():
                yield _time(cfg, split, 'index')


def _time(cfg: Config, split: str, source: str) -> IndexTime:
    start = time.perf_counter()
    dataset = build_dataset(cfg, split, lazy_init=False)
    seconds = time.perf_counter() - start
    return IndexTime(split, source, len(dataset), seconds, peak_memory().get('process'))
