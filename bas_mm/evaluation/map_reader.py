"""Maps, boxes and views that a test kept on disk, read again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bas_mm.evaluation.scores import image_parts


class MapDump:
    """Read what :class:`DumpMaps` kept.

    Args:
        path: The folder or ``.npz`` file that was given as ``out``.

    Attributes:
        info: What was kept of the run, ``classes`` among it.
        summary: What ``summary.json`` says of the test; empty without one.
        entries: From the name of an image to its entry in ``samples.json``.

    Raises:
        FileNotFoundError: If there is no finished dump.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder, archive = dump_places(path)
        if archive is None and not (self.folder / 'maps').is_dir():
            beside = self.folder.with_name(f'{self.folder.name}.npz')
            archive = beside if beside.is_file() else None
        lacking = [
            str(file)
            for file in (
                self.folder / 'samples.json',
                self.folder / 'run.json',
                archive,
            )
            if file is not None and not file.is_file()
        ]
        if lacking:
            raise FileNotFoundError(
                f'{str(path)!r} is no finished dump ({", ".join(lacking)} '
                'is missing): give the folder or .npz that a test wrote with '
                '`--dump`.'
            )
        self.info: dict[str, Any] = _read_json(self.folder / 'run.json')
        file = self.folder / 'summary.json'
        self.summary: dict[str, Any] = (
            _read_json(file).get('test', {}) if file.is_file() else {}
        )
        self.entries: dict[str, dict] = {
            '/'.join(image_parts(x['image'])): x
            for x in _read_json(self.folder / 'samples.json')
        }
        self._maps = np.load(archive) if archive else None
        scores = self.folder / 'scores.npz'
        self._scores = np.load(scores) if scores.is_file() else {}

    def __len__(self) -> int:
        return len(self.entries)

    def samples(self, names: Sequence[str] | None = None) -> Iterator[dict]:
        """Give samples as the metrics take them, one by one.

        Args:
            names: Names of the wanted images; all by default. A sample's
                ``sample_idx`` is the place in this order.

        Yields:
            The fields that were kept: ``pred_map``, ``img_shape``,
            ``gt_bboxes``, ``gt_label``, ``gt_seg_map``, ``pred_bbox``,
            ``pred_label``, ``pred_score``; boxes are ``xyxy`` in pixels of the
            view.

        Raises:
            KeyError: If an image is not in the dump.
        """
        for i, name in enumerate(self.entries if names is None else names):
            entry = self.entries[name]
            if self._maps is None:
                pred_map = np.load(self.folder / 'maps' / f'{name}.npy')
            else:
                pred_map = self._maps[name]
            sample = build_sample(
                entry,
                pred_map,
                self._scores[name] if name in self._scores else None,
                self.folder / 'masks' / f'{name}.png',
            )
            yield dict(sample, sample_idx=i, img_path=name)

    def view(self, name: str) -> np.ndarray | None:
        """Read the view of an image, if it was kept.

        Returns:
            Shape ``(h, w, 3)``, uint8, BGR; None if it was not kept.
        """
        file = self.folder / 'views' / f'{name}.jpg'
        return _read(file, cv2.IMREAD_COLOR) if file.is_file() else None


def build_sample(
    entry: Mapping[str, Any],
    pred_map: np.ndarray | None,
    scores: np.ndarray | None,
    mask: Path,
) -> dict[str, Any]:
    """Build a sample as the metrics take it.

    Args:
        entry: Its entry in ``samples.json``.
        pred_map: Its map.
        scores: Its scores; None without.
        mask: The file of its mask, which need not be there.

    Returns:
        The fields that were kept, without name and number.
    """
    sample: dict[str, Any] = dict(
        pred_map=pred_map, img_shape=(entry['height'], entry['width'])
    )
    if 'labels' in entry:
        sample['gt_label'] = np.array(entry['labels'])
    if 'boxes' in entry:
        sample['gt_bboxes'] = np.array(entry['boxes'], np.float64)
    if 'pred_bbox' in entry:
        sample['pred_bbox'] = np.array(entry['pred_bbox'], np.float32)
    if 'pred_label' in entry:
        sample['pred_label'] = np.array(entry['pred_label'])
    if scores is not None:
        sample['pred_score'] = scores
    if mask.is_file():
        sample['gt_seg_map'] = _read(mask, cv2.IMREAD_UNCHANGED)
    return sample


def dump_places(out: str | Path) -> tuple[Path, Path | None]:
    """Find the parts of a dump.

    Args:
        out: A folder, or a file that ends in ``.npz``.

    Returns:
        The folder, and the archive of the maps, None if they are in the folder.

    Example:
        >>> [str(place) for place in dump_places('runs/x.npz')]
        ['runs/x', 'runs/x.npz']
        >>> [str(place) for place in dump_places('runs/x')]
        ['runs/x', 'None']
    """
    path = Path(out)
    return (path.with_suffix(''), path) if path.suffix == '.npz' else (path, None)


def _read(file: Path, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), flag)
    if image is None:
        raise ValueError(f'{str(file)!r} is no image that can be read.')
    return image


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding='utf-8'))
