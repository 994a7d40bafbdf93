"""Classification scores of another model, read from a file."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bas_mm.evaluation.records import topk_labels
from bas_mm.utils.files import IMG_EXTENSIONS


class ImageTable:
    """Values by image, found however much of the image's path is written.

    An image and an entry belong together if one path is the end of the
    other, extensions aside: ``data/001.Bird/x.jpg`` finds ``001.Bird/x`` and
    ``x.jpg``, but not ``002.Bird/x.jpg``. Of several, the longest is taken,
    and before all the one that is the same path.

    Args:
        name: What the values are and where they come from, for errors.

    Example:
        >>> table = ImageTable('sizes')
        >>> table.add('001.Bird/x.jpg', 7)
        >>> table['data/001.Bird/x.png'], table.get('y.jpg', 0), len(table)
        (7, 0, 1)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        # File name without extension -> [(parts of the path, value), ...]
        self._entries: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
        self._images: dict[tuple[str, ...], tuple[str, ...]] = {}  # of an entry

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def add(self, img_path: str, value: Any) -> None:
        """Add the value of an image.

        Args:
            img_path: As much of its path as is known.
            value: Anything.

        Raises:
            ValueError: If it is no name, such as ``''`` or ``'/'``.
        """
        parts = image_parts(img_path)
        if not parts:
            raise ValueError(f'{self.name}: {img_path!r} is no name of an image.')
        self._entries.setdefault(parts[-1], []).append((parts, value))

    def _find(self, parts: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
        """Find the entries that fit an image best."""
        entries = self._entries.get(parts[-1] if parts else '', [])
        same = [entry for entry in entries if entry[0] == parts]
        if same:
            return same
        fit = [entry for entry in entries if _are_one(entry[0], parts)]
        longest = max((min(len(x), len(parts)) for x, _ in fit), default=0)
        return [entry for entry in fit if min(len(entry[0]), len(parts)) == longest]

    def __getitem__(self, img_path: str) -> Any:
        """Look up the value of an image.

        Raises:
            KeyError: If there is no entry, or several that fit as well, or the
                one that fits was another image's.
        """
        parts = image_parts(img_path)
        found = self._find(parts)
        if len(found) != 1:
            raise KeyError(
                f'{self.name}: {len(found) or "no"} entries for the image '
                f'{img_path!r}; exactly one is needed for every image, keyed '
                'by its file name or the end of its path.'
            )
        entry, value = found[0]
        other = self._images.setdefault(entry, parts)
        if not _are_one(other, parts):
            raise KeyError(
                f'{self.name}: the one entry {"/".join(entry)!r} fits two images, '
                f'{"/".join(other)!r} and {"/".join(parts)!r}; name the entries by so '
                "much of the images' paths that each has its own."
            )
        return value

    def get(self, img_path: str, default: Any = None) -> Any:
        """Look up the value of an image, or a default where it has none.

        Raises:
            KeyError: If several entries fit as well.
        """
        return self[img_path] if self._find(image_parts(img_path)) else default


def _are_one(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other."""
    length = min(len(path), len(other))
    return path[-length:] == other[-length:]


class ScoreFile(ImageTable):
    """The best classes of every image, read from a file.

    Formats, by extension, all keyed by the image's path or file name, see
    :class:`ImageTable`:

    - ``.npz``: ``np.savez(path, **{'001.Bird/a.jpg': scores, ...})``,
    - ``.json``: ``{"001.Bird/a.jpg": [0.1, 0.9], ...}``,
    - ``.csv``: ``001.Bird/a.jpg,0.1,0.9`` a line; a first line that does
      not hold numbers is skipped as the header.

    Only the ``k`` best classes are kept in memory.

    Args:
        path: The file.
        k: Number of classes kept.

    Attributes:
        lengths: From a number of classes to the images with so many scores.
        not_finite: The images with scores that are NaN or infinite.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has another extension or holds no scores.
    """

    def __init__(self, path: str | Path, k: int = 5) -> None:
        super().__init__(f'scores={str(path)!r}')
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f'{self.name}: there is no such file.')
        readers = {'.npz': _read_npz, '.json': _read_json, '.csv': _read_csv}
        if path.suffix.lower() not in readers:
            raise ValueError(
                f'{self.name}: the extension must be one of {sorted(readers)}.'
            )
        self.lengths: dict[int, list[str]] = {}
        self.not_finite: list[str] = []
        for img_path, scores in self._rows(readers[path.suffix.lower()], path):
            if scores.ndim != 1 or scores.size == 0:
                raise ValueError(
                    f'{self.name}: {img_path!r} has scores of the shape '
                    f'{scores.shape}; (num_classes,) is needed.'
                )
            self.lengths.setdefault(scores.size, []).append(img_path)
            if not np.isfinite(scores).all():
                self.not_finite.append(img_path)
            self.add(img_path, topk_labels(scores, k).astype(np.int32))
        if not len(self):
            raise ValueError(f'{self.name} holds no scores.')

    def _rows(
        self, reader: Callable[[Path], Iterator[tuple[str, Any]]], path: Path
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Read the scores as numbers, whatever the file holds."""
        try:
            for img_path, scores in reader(path):
                yield img_path, np.asarray(scores, np.float64)
        except Exception as error:  # whatever a damaged file can do
            text = str(error).removeprefix(f'{self.name}, ')
            raise ValueError(
                f'{self.name}: numbers for each image are needed, by its name '
                f'({type(error).__name__}: {text}).'
            ) from error


def image_parts(name: str) -> tuple[str, ...]:
    r"""Split the name of an image, without its extension, into its parts.

    The name of a map's file, ``<image>.npy`` or ``<image>.jpg.npy``, gives
    those of its image.

    Example:
        >>> image_parts('birds\\\\a.jpg.npy'), image_parts('birds/a.b')
        (('birds', 'a'), ('birds', 'a.b'))
    """
    path = PurePosixPath(str(name).replace('\\', '/'))
    for extensions in (('.npy',), IMG_EXTENSIONS):
        if path.suffix.lower() in extensions:
            path = path.with_suffix('')
    return path.parts


def _read_npz(path: Path) -> Iterator[tuple[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            yield name, file[name]


def _read_json(path: Path) -> Iterator[tuple[str, Any]]:
    yield from json.loads(path.read_text(encoding='utf-8')).items()


def _read_csv(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(newline='', encoding='utf-8-sig') as file:
        for i, row in enumerate(csv.reader(file)):
            if len(row) < 2:
                continue
            try:
                scores = [float(x) for x in row[1:]]
            except ValueError:
                if i == 0:  # the header
                    continue
                raise ValueError(
                    f'scores={str(path)!r}, line {i + 1}: {row[1:4]}... are '
                    'not all numbers.'
                ) from None
            yield row[0], scores
