"""Maps, boxes and views of a test, kept on disk."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from mmengine.dist import broadcast_object_list, is_main_process

from bas_mm.evaluation.map_reader import build_sample, dump_places
from bas_mm.evaluation.partial_dump import PartialDump, write_array
from bas_mm.evaluation.scores import image_parts
from bas_mm.evaluation.wsol_metric import WSOLMetric, get_boxes, get_field, get_mask
from bas_mm.localization import as_array
from bas_mm.registry import METRICS
from bas_mm.utils.files import without_nan, write_atomic


@METRICS.register_module()
class DumpMaps(WSOLMetric):
    """Write what a model predicts, for other tools; give no figures.

    It is listed among the metrics and writes while they measure, so that no
    map stays in memory. ``out`` is a folder::

        out
        ├── samples.json      a list: image, label, width, height, boxes, ...
        ├── run.json          what is known of the run: classes, ``info``
        ├── scores.npz        pred_score by image, float32
        ├── maps/<name>.npy   pred_map, float32, at its own resolution
        ├── masks/<name>.png  gt_seg_map, where there is one
        └── views/<name>.jpg  the view, of every ``view_interval``-th image

    With ``out='x.npz'`` all maps go to that one file and the rest into the
    folder ``x`` beside it. Boxes are ``xyxy``, in pixels of the view, whose
    size is ``width`` and ``height``, so that the evaluation of saved maps
    (``bas-mm eval-maps``) reads a dump as it is; :class:`MapDump` reads it back in
    Python.

    An image's name is its path below ``root``; if it is not there, its file
    and folder. An earlier dump at ``out`` is replaced; one that a test of the
    same ``run`` left unfinished is gone on with, see :meth:`restore`. What is
    not complete has a folder ``partial``. Several processes write
    their own images into ``out``, which they must share; every one of them
    builds this object, and all of them fail if ``out`` cannot be used.

    Args:
        out: A folder, or a file that ends in ``.npz``.
        root: The folder that names of images are relative to.
        view_interval: The view is kept of images whose ``sample_idx`` is a
            multiple of this; 0 keeps none.
        info: What else is to be kept of the run, anything that json takes.
        run: All that the maps depend on, anything that json takes, by name.
            None: nothing is gone on with.
        collect_device: ``'cpu'`` or ``'gpu'``, where mmengine gathers records.

    Raises:
        ValueError: If ``view_interval`` is below 0, two images of
            different paths have one name, or ``out`` is the unfinished dump
            of another ``run``.
        FileExistsError: If ``out`` is a folder of other things.
        OSError: If ``out`` cannot be written.
    """

    def __init__(
        self,
        out: str | Path,
        root: str | Path | None = None,
        view_interval: int = 1,
        info: dict | None = None,
        run: dict | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device)
        if view_interval < 0:
            raise ValueError(
                f'DumpMaps: view_interval={view_interval} must be 0 (keep no '
                'views), 1 (all) or above.'
            )
        self.folder, self.archive = dump_places(out)
        self.root = Path(root).absolute() if root else None
        self.view_interval = view_interval
        self.info = dict(info or {})
        self._paths: dict[str, str] = {}
        self._restored: dict[str, dict] = {}
        self._parts = PartialDump(self.folder, run)
        _on_main_process(self._clear)  # nobody writes before the old dump is gone

    def restore(self) -> Iterator[dict]:
        """Give what an unfinished dump of the same run has of this process.

        Afterwards the images that were given are not written again.

        Yields:
            Samples as :meth:`MapDump.samples` gives them, with the ``img_path``
            and ``sample_idx`` of the test.
        """
        entries = []
        for entry in self._parts.entries():
            key = self._key(entry['image'])
            try:
                sample = build_sample(
                    entry,
                    self._parts.read('maps', key)
                    if self.archive
                    else np.load(self.folder / 'maps' / f'{key}.npy'),
                    self._parts.read('scores', key),
                    self.folder / 'masks' / f'{key}.png',
                )
            except (OSError, ValueError, EOFError):
                continue  # a file is damaged: the image is tested again
            path = entry['img_path']
            if sample['pred_map'] is None or path in self._restored:
                continue
            self._restored[path] = entry
            self._paths[key] = path
            entries.append(entry)
            yield dict(sample, img_path=path, sample_idx=entry.get('sample_idx'))
        self._parts.open(entries)

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Write a batch.

        Args:
            data_batch: ``inputs``, the views, uint8 ``(3, h, w)`` each, BGR;
                without them no view is kept.
            data_samples: Data samples, or their fields as dicts.
        """
        views = (data_batch or {}).get('inputs')
        for i, sample in enumerate(data_samples):
            if hasattr(sample, 'to_dict'):
                sample = sample.to_dict()
            view = None if views is None else as_array(views[i])
            super().process({}, [dict(sample, view=view)])

    def measure(self, sample: dict) -> dict:
        """Write the large parts of an image; the rest is its record."""
        path = str(get_field(sample, 'img_path', self))
        if path in self._restored:
            return _record(self._restored[path])
        image = self._name(path)
        key = self._key(image)
        if self._paths.setdefault(key, path) != path:
            raise ValueError(
                f'DumpMaps: {self._paths[key]!r} and {path!r} would both be '
                f'called {key!r}: give the folder that holds both as `root`, '
                'and image files of one folder different stems.'
            )
        entry = without_nan(self._entry(sample, image))
        pred_map = as_array(get_field(sample, 'pred_map', self)).astype(np.float32)
        if self.archive:
            self._parts.write('maps', key, pred_map)
        else:
            write_array(self._file('maps', key, 'npy'), pred_map)
        if sample.get('pred_score') is not None:
            scores = as_array(sample['pred_score']).astype(np.float32)
            self._parts.write('scores', key, scores)
        mask = get_mask(sample)
        if mask is not None:
            _write(self._file('masks', key, 'png'), mask.astype(np.uint8))
        self._write_view(sample, key)
        self._parts.add(entry)
        return _record(entry)

    def _entry(self, sample: dict, image: str) -> dict[str, Any]:
        """Give the entry of an image in ``samples.json``."""
        height, width = map(int, get_field(sample, 'img_shape', self)[:2])
        entry: dict[str, Any] = dict(image=image, width=width, height=height)
        if sample.get('gt_label') is not None:
            labels = as_array(sample['gt_label']).ravel().tolist()
            entry.update(label=labels[0], labels=labels)
        boxes = get_boxes(sample)
        if boxes is not None:
            entry['boxes'] = boxes.tolist()
        for field in ('pred_bbox', 'pred_label', 'ori_shape', 'sample_idx'):
            if sample.get(field) is not None:
                entry[field] = as_array(sample[field]).tolist()
        entry['img_path'] = str(sample['img_path'])
        return entry

    def _write_view(self, sample: dict, key: str) -> None:
        """Write the view of an image, if it is wanted and still an image."""
        view = sample.get('view')
        if view is None or not self.view_interval or view.dtype != np.uint8:
            return
        if int(sample.get('sample_idx') or 0) % self.view_interval == 0:
            _write(
                self._file('views', key, 'jpg'),
                np.ascontiguousarray(view.transpose(1, 2, 0)),
            )

    def evaluate(self, size: int) -> dict:
        """Finish the files; give no figures."""
        self._parts.close()
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict:
        """Write the list of the images (main process)."""
        super().compute_metrics(results)
        self._parts.pack('scores', self.folder / 'scores.npz')
        if self.archive:
            self._parts.pack('maps', self.archive)
        entries = [json.loads(x) for x in (self.table or {}).get('entry', ())]
        self.table = None  # all of it is on disk
        text = '[\n' + ',\n'.join(map(json.dumps, entries)) + '\n]\n'
        write_atomic(self.folder / 'samples.json', text.encode())
        classes = (self.dataset_meta or {}).get('classes')
        _write_json(
            self.folder / 'run.json',
            dict(self.info, classes=list(classes) if classes else None),
        )
        self._parts.remove()
        return {}

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """Give no figures."""
        return {}

    def _name(self, path: str) -> str:
        """Name an image by its path."""
        if self.root is not None:
            full = Path(path).absolute()
            if full.is_relative_to(self.root):
                return full.relative_to(self.root).as_posix()
        return '/'.join(PurePath(path.replace('\\', '/')).parts[-2:])

    @staticmethod
    def _key(image: str) -> str:
        """Give the name of the files of an image."""
        return '/'.join(image_parts(image))

    def _file(self, kind: str, key: str, suffix: str) -> Path:
        """Give the file of a part of an image; make its folder."""
        file = self.folder / kind / f'{key}.{suffix}'
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _clear(self) -> None:
        """Remove an earlier dump, and nothing else."""
        marker = self.folder / 'run.json'
        if (
            self.folder.exists()
            and not marker.is_file()
            and (not self.folder.is_dir() or any(self.folder.iterdir()))
        ):
            raise FileExistsError(
                f'DumpMaps: {str(self.folder)!r} exists and is no earlier '
                'dump: choose another place for the maps (--dump).'
            )
        if self.archive and self.archive.exists() and not marker.is_file():
            raise FileExistsError(
                f'DumpMaps: {str(self.archive)!r} exists and is not of an earlier '
                'dump: choose another place for the maps (--dump).'
            )
        if not marker.is_file():
            _write_json(marker, self.info)  # the folder is ours from now on
        if not self._parts.begin():
            for kind in ('maps', 'masks', 'views'):
                shutil.rmtree(self.folder / kind, ignore_errors=True)
        (self.folder / 'samples.json').unlink(missing_ok=True)
        _write_json(marker, self.info)


def _on_main_process(work: Callable[[], None]) -> None:
    """Do something on the main process; let all processes fail if it fails.

    Raises:
        Exception: On every process, what ``work`` raised on the main one.
    """
    failure: list[Exception | None] = [None]
    if is_main_process():
        try:
            work()
        except Exception as error:
            failure = [error]
    broadcast_object_list(failure)  # the others wait here
    if failure[0] is not None:
        raise failure[0]


def _record(entry: dict[str, Any]) -> dict[str, bytes]:
    return dict(entry=json.dumps(entry).encode())


def _write(file: Path, image: np.ndarray) -> None:
    # imencode, not imwrite: paths need not be ASCII.
    write_atomic(file, cv2.imencode(file.suffix, image)[1].tobytes())


def _write_json(file: Path, content: Any) -> None:
    text = json.dumps(without_nan(content), indent=1) + '\n'
    write_atomic(file, text.encode())
