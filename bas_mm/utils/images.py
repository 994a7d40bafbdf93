"""The one reader of images: training, testing, inference and checks."""

import io
import os
import os.path as osp
import warnings
from threading import Lock
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

_JPEG, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG, _PNG_END = b'\x89PNG', b'IEND'
#: The filters of warnings are those of all threads.
_FILTERS = Lock()


def read_image(
    path: str | os.PathLike[str],
    flag: str = 'color',
    thorough: bool = True,
    **decoding: Any,
) -> np.ndarray:
    """Read an image file.

    Args:
        path: The file, or a path of a storage service that mmengine knows.
        flag: How it is read, see :func:`mmcv.imfrombytes`: ``'color'`` turns
            it by its EXIF tag, ``'color_ignore_orientation'`` does not.
        thorough: Decode it twice where OpenCV would not tell that it is damaged
            inside. Otherwise only files without their end are found.
        **decoding: ``backend`` of mmcv, and ``backend_args`` of mmengine.

    Returns:
        BGR, ``(h, w, 3)`` uint8, for the flags of color.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, cut off or damaged.
    """
    path = os.fspath(path)
    if '://' not in path and not osp.isfile(path):
        raise FileNotFoundError(f'There is no image {path!r}.')
    content = fileio.get(path, backend_args=decoding.pop('backend_args', None))
    return decode_image(content, path, flag, thorough, **decoding)


def decode_image(
    content: bytes,
    name: str,
    flag: str = 'color',
    thorough: bool = True,
    backend: str = 'cv2',
) -> np.ndarray:
    """Decode the content of an image file, see :func:`read_image`.

    Args:
        content: Of the file.
        name: Its name, for errors.
        flag: See :func:`read_image`.
        thorough: See :func:`read_image`.
        backend: See :func:`read_image`.

    Raises:
        ValueError: If it is no image, cut off or damaged.

    Example:
        >>> decode_image(b'P5 2 1 255 ab', 'a.pgm').shape
        (1, 2, 3)
    """
    if thorough or not _is_whole(content):
        _verify(content, name)
    try:
        image = mmcv.imfrombytes(content, flag=flag, backend=backend)
    except (cv2.error, OSError):  # of an empty file
        image = None
    if image is None:
        raise ValueError(
            f'{name!r} ({len(content)} bytes) is no image that can be read.'
        )
    return image


def _is_whole(content: bytes) -> bool:
    """Tell whether a JPEG or PNG has its end; False for all that is neither."""
    if content.startswith(_JPEG):
        return _JPEG_END in content[-64:]
    return content.startswith(_PNG) and _PNG_END in content[-64:]


def _verify(content: bytes, name: str) -> None:
    """Refuse what is cut off: OpenCV fills it with gray, Pillow says so."""
    try:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            file = Image.open(io.BytesIO(content))
        with file:
            file.load()
    except UnidentifiedImageError:
        pass  # there are formats that only OpenCV knows
    except Exception as error:  # Pillow has no common one
        raise ValueError(
            f'The image {name!r} ({len(content)} bytes) is cut off or damaged: {error}.'
        ) from error


def image_size(path: str, turned: bool = True) -> tuple[int, int]:
    """Read the width and height of an image; only the header is read.

    Args:
        path: The file.
        turned: As displayed, turned by its EXIF tag; else as stored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no image {path!r}.')
    try:
        with Image.open(path) as image:
            turn = turned and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size
    except Exception as error:  # as above
        raise ValueError(
            f'{path!r} ({osp.getsize(path)} bytes) is no image that can be read.'
        ) from error
    return (height, width) if turn else (width, height)


def why_unreadable(
    path: str, flag: str = 'color', thorough: bool = False
) -> str | None:
    """Say why an image cannot be read, None if it can."""
    try:
        read_image(path, flag, thorough)
    except (OSError, ValueError) as error:
        return str(error)
    return None
