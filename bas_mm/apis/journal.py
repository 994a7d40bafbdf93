"""What was found so far, a line for each image, until the result is complete."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bas_mm.apis.exports import Export, encode_rle
from bas_mm.utils.files import write_atomic


class Journal:
    """Keeps what an export is given, so that a run that was killed goes on.

    It is a file of JSON lines beside the result, ``NAME.partial.jsonl``, that
    is there until the result is complete. Its first line says what the run
    was asked for: a run that asks for the same takes what is there, another
    one begins anew. An image whose file has changed is found again.

    Args:
        export: What is written; it gets what is there already.
        asked: What the result depends on, beside the classes and the format.
        images: Name and file of the images that are asked for; what is there
            of others is left out.

    Attributes:
        path (Path): The file.
        done (set[tuple[str, str]]): Name and file of the images that the
            export has already.

    Raises:
        OSError: If the file cannot be written.
    """

    def __init__(
        self,
        export: Export,
        asked: Mapping[str, Any],
        images: Iterable[tuple[str, Any]],
    ) -> None:
        self.export = export
        self._wanted = {(name, str(source)) for name, source in images}
        self.path = export.path.with_name(f'{export.path.name}.partial.jsonl')
        self.done: set[tuple[str, str]] = set()
        head = dict(asked, classes=export.classes, format=type(export).__name__)
        first = json.dumps(head, default=str)
        lines = []
        if self.path.is_file():
            lines = self.path.read_text(encoding='utf-8').splitlines()
        kept = [first]
        if lines[:1] == [first]:
            kept += [line for line in lines[1:] if self._take(line)]
        write_atomic(self.path, ''.join(f'{line}\n' for line in kept).encode())
        self._file = open(self.path, 'a', encoding='utf-8')

    def add(
        self,
        name: str,
        shape: Sequence[int],
        found: Sequence[Any],
        masks: Sequence[np.ndarray] | None = None,
        source: str | os.PathLike[str] | None = None,
        **extra: Any,
    ) -> None:
        """Add an image to the export and to the file; see :meth:`Export.add`."""
        entry = dict(
            name=name,
            shape=[int(side) for side in shape],
            found=[
                [int(label), float(score), [float(x) for x in box]]
                for label, score, box in found
            ],
            masks=None if masks is None else [encode_rle(mask) for mask in masks],
            source=None if source is None else str(source),
            stamp=stamp(source),
            extra=extra,
        )
        self._file.write(json.dumps(entry) + '\n')
        self._file.flush()
        self.export.add(name, shape, found, masks, source, **extra)

    def close(self) -> None:
        """Close the file; it goes where the result is complete, or nothing is."""
        self._file.close()
        if self.export.complete or not self.export.num_images:
            self.path.unlink(missing_ok=True)

    def _take(self, line: str) -> bool:
        """Give a line to the export, unless it is cut off or outdated."""
        try:
            entry = json.loads(line)
        except ValueError:
            return False
        key = entry['name'], str(entry['source'])
        if key not in self._wanted or entry['stamp'] != stamp(entry['source']):
            return False
        masks = entry['masks']
        self.export.add(
            entry['name'],
            entry['shape'],
            [tuple(one) for one in entry['found']],
            None if masks is None else [decode_rle(mask) for mask in masks],
            entry['source'],
            **entry['extra'],
        )
        self.done.add(key)
        return True


def decode_rle(rle: Mapping[str, Any]) -> np.ndarray:
    """Decode what :func:`~bas_mm.apis.exports.encode_rle` encoded.

    Returns:
        Shape ``(h, w)``, bool.

    Example:
        >>> decode_rle({'size': [2, 2], 'counts': [0, 2, 2]}).astype(int).tolist()
        [[1, 0], [1, 0]]
    """
    counts = rle['counts']
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(rle['size'], order='F')


def stamp(path: str | os.PathLike[str] | None) -> list[int] | None:
    """Give size and time of a file, which tell whether it has changed.

    Example:
        >>> stamp(None)
    """
    if path is None or not Path(path).is_file():
        return None
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]
