"""Names of picture files, and writing that never leaves half a file."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Union

#: What is taken for a picture in a folder.
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


def write_atomic(path: Union[str, os.PathLike], content: bytes) -> None:
    """Write a file beside its place, then put it there.

    What was there before stays until the new content is complete, and stays
    for good if that fails. Missing folders are made.

    Args:
        path (str | PathLike): The file.
        content (bytes): All of it.

    Raises:
        OSError: If it cannot be written; says so where the disk is full.
    """
    path = Path(path)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, 'wb') as file:
            file.write(content)
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
            error.errno, f'Cannot write {len(content)} bytes: {what}', str(path)
        ) from error
