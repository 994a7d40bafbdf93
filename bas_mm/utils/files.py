"""Names of image files, and writing that never leaves half a file."""

import contextlib
import errno
import math
import os
import os.path as osp
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: What is taken for an image in a folder.
IMG_EXTENSIONS = (
    '.jpg',
    '.jpeg',
    '.png',
    '.ppm',
    '.bmp',
    '.pgm',
    '.tif',
    '.tiff',
    '.webp',
)

#: Other common types of images, which are not.
OTHER_IMAGES = (
    '.avif',
    '.cr2',
    '.dng',
    '.gif',
    '.heic',
    '.heif',
    '.jfif',
    '.jp2',
    '.jxl',
    '.nef',
)


def write_atomic(
    path: str | os.PathLike[str],
    content: bytes | Sequence[bytes | memoryview],
    flush: bool = False,
) -> None:
    """Write a file beside its place, then put it there.

    What was there before stays until the new content is complete, and stays
    for good if that fails. Missing folders are made.

    Args:
        path: The file.
        content: All of it, or its pieces.
        flush: Wait until it is on the disk, so that a machine that loses its
            power leaves the old file or the new one.

    Raises:
        OSError: If it cannot be written; says so where the disk is full.
    """
    path = Path(path)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    pieces = [content] if isinstance(content, bytes) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, 'wb') as file:
            for piece in pieces:
                file.write(piece)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        what = (
            'the disk is full'
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else error.strerror
        )
        raise OSError(
            error.errno,
            f'Cannot write {sum(map(len, pieces))} bytes: {what}',
            str(path),
        ) from error


def check_output(
    path: str | os.PathLike[str], option: str, folder: bool = False
) -> None:
    """Try whether an output can be written, before it is computed.

    Nothing is left behind and no folder is made.

    Args:
        path: The file or folder.
        option: Where it was given, for the error.
        folder: Whether it is a folder.

    Raises:
        OSError: If there is a folder in the place of a file, a file in the
            place of a folder, or nothing can be written there.
    """
    path = Path(path)
    near = path if folder else path.parent
    while not osp.lexists(near):  # the folders below it can be made
        near = near.parent
    if not folder and path.is_dir():
        fault = 'it is a folder, and a file is to be written'
    elif not near.is_dir():
        fault = f'{near} is not a folder'
    else:
        try:
            with tempfile.TemporaryFile(dir=near):
                return
        except OSError as error:
            fault = f'{near} takes no file ({error.strerror})'
    raise OSError(f'{path} cannot be written: {fault}. Give another path to {option}.')


def without_nan(value: Any) -> Any:
    """Give something for a json file, which has no NaN and infinity: None there.

    Args:
        value: Figures, lists and dicts, one in the other.

    Example:
        >>> without_nan({'a': 1.5, 'b': float('nan'), 'c': [1, float('inf')]})
        {'a': 1.5, 'b': None, 'c': [1, None]}
    """
    if isinstance(value, Mapping):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(one) for one in value]
    if isinstance(value, (float, np.floating)) and not math.isfinite(value):
        return None
    return value


def plain(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the figures that json can hold: numbers, texts and lists of them.

    Example:
        >>> plain({'a': 1.5, 'b': [1, 'x'], 'c': object()})
        {'a': 1.5, 'b': [1, 'x']}
    """

    def fits(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return all(map(fits, value))
        return isinstance(value, (int, float, str))

    return {name: value for name, value in figures.items() if fits(value)}


class FreshPaths:
    """Paths of files to write: each once, and never one that is read.

    Args:
        folder: Where they go.
        taken: Paths that are not to be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        taken: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        self.folder = Path(folder)
        self._taken = {osp.realpath(path).lower() for path in taken}

    def __call__(self, name: str, extension: str) -> Path:
        """Give a path by a name, whose own extension is left out.

        Args:
            name: Name of the file, with the folders it lies in, if any.
            extension: The new extension, such as ``.jpg``.
        """
        stem, number = osp.splitext(name)[0], 1
        path = self.folder / f'{stem}{extension}'
        while osp.realpath(path).lower() in self._taken:
            number += 1
            path = self.folder / f'{stem}_{number}{extension}'
        self._taken.add(osp.realpath(path).lower())
        return path
