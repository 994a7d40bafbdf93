"""What a test has kept so far, until its dump is complete."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_rank

from bas_mm.utils.files import write_atomic


class PartialDump:
    """The folder ``partial`` of a dump, which is there until the dump is whole.

    ::

        partial
        ├── run.json         what the maps depend on
        ├── <rank>.jsonl     a line for each image whose files are written
        ├── scores/<name>.npy
        └── maps/<name>.npy  where all maps go to one file in the end

    Args:
        folder: The folder of the dump.
        run: What the maps depend on; only a test of the same goes on with
            what is here. None: none does.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any] | None) -> None:
        self.folder = folder / 'partial'
        self.run = None if run is None else json.loads(json.dumps(run))
        self._head = self.folder / 'run.json'
        self._lines = self.folder / f'{get_rank()}.jsonl'
        self._file: Any = None

    def begin(self) -> bool:
        """Make the folder, unless it is one to go on with (main process).

        Returns:
            Whether it is.

        Raises:
            ValueError: If it is of another run; says what differs.
        """
        if self.run is not None and self._head.is_file():
            there = json.loads(self._head.read_text(encoding='utf-8'))
            other = [name for name in self.run if self.run[name] != there.get(name)]
            if other:
                raise ValueError(
                    f'--dump: {str(self.folder)!r} is what a test with other settings '
                    f'({", ".join(other)}) left when it was stopped: give the settings '
                    'of that test to go on, remove the folder, or choose another place '
                    'for the maps (--dump).'
                )
            return True
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.run is not None:
            write_atomic(self._head, json.dumps(self.run).encode())
        return False

    def entries(self) -> Iterator[dict[str, Any]]:
        """Give the entries of the images that this process has written."""
        if not self._lines.is_file():
            return
        for line in self._lines.read_text(encoding='utf-8').splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # it was cut off
                continue

    def open(self, entries: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
        """Begin the list of the images anew.

        Args:
            entries: Those that are in it already.
        """
        text = ''.join(f'{json.dumps(entry)}\n' for entry in entries)
        write_atomic(self._lines, text.encode())
        self._file = open(self._lines, 'a', encoding='utf-8')

    def add(self, entry: Mapping[str, Any]) -> None:
        """Say that all files of an image are written."""
        if self._file is None:
            self.open([])
        self._file.write(f'{json.dumps(entry)}\n')
        self._file.flush()

    def close(self) -> None:
        """Close the list of the images."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, kind: str, key: str, array: np.ndarray) -> None:
        """Write an array of an image."""
        write_array(self.folder / kind / f'{key}.npy', array)

    def read(self, kind: str, key: str) -> np.ndarray | None:
        """Read an array of an image; None if it has none."""
        return read_array(self.folder / kind / f'{key}.npy')

    def pack(self, kind: str, path: Path) -> None:
        """Put the arrays of a kind into one ``.npz`` file (main process)."""
        folder = self.folder / kind
        part = path.with_name(f'.{path.name}.part')
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, 'w') as whole:
            for file in sorted(folder.rglob('*.npy')):
                whole.write(file, file.relative_to(folder).as_posix())
        part.replace(path)

    def remove(self) -> None:
        """Remove all of it: the dump is complete (main process)."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_array(file: Path, array: np.ndarray) -> None:
    """Write an array, whole or not at all."""
    with io.BytesIO() as content:
        np.save(content, array, allow_pickle=False)
        write_atomic(file, content.getvalue())


def read_array(file: Path) -> np.ndarray | None:
    """Read an array; None if there is no such file."""
    return np.load(file, allow_pickle=False) if file.is_file() else None
