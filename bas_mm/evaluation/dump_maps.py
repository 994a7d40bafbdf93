"""Maps, boxes and pictures of a test, kept on disk and read again."""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process

from bas_mm.registry import METRICS

from .functional import as_array
from .scores import _parts
from .wsol_metric import WSOLMetric, get_boxes, get_field, get_mask


@METRICS.register_module()
class DumpMaps(WSOLMetric):
    """Keeps what a test predicts, for other tools; gives no figures.

    It stands among the metrics and writes while they measure, so that no
    map stays in memory. ``out`` is a folder::

        out
        ├── samples.json      a list: image, label, width, height, boxes, ...
        ├── run.json          what is known of the run: classes, ``info``
        ├── scores.npz        pred_score by image, float32
        ├── maps/<name>.npy   pred_map, float32, at its own resolution
        ├── masks/<name>.png  gt_seg_map, where there is one
        └── views/<name>.jpg  the view, of every ``view_interval``-th image

    With ``out='x.npz'`` all maps go to that one file and the rest into the
    folder ``x`` beside it. Boxes are xyxy, pixels of the view, whose size is
    ``width`` and ``height``, so that ``tools/analysis_tools/eval_maps.py``
    reads a dump as it is; :class:`MapDump` reads it back in Python.

    An image's name is its path below ``root``; elsewhere, its file and
    folder. An earlier dump at ``out`` is replaced. Several processes write
    their own images into ``out``, which they must share; every one of them
    builds this object.

    Args:
        out: A folder, or a file that ends in ``.npz``.
        root: The folder that names of images are relative to.
        view_interval: The view is kept of images whose ``sample_idx`` is a
            multiple of this; 0 keeps none.
        info: What else is to be kept of the run, anything json takes.
        collect_device: ``'cpu'`` or ``'gpu'``, see mmengine.

    Raises:
        ValueError: If ``view_interval`` is below 0, or two images of
            different paths have one name.
        FileExistsError: If ``out`` is a folder of other things.
    """

    def __init__(
        self,
        out: str | Path,
        root: str | Path | None = None,
        view_interval: int = 1,
        info: dict | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device)
        if view_interval < 0:
            raise ValueError(
                f'DumpMaps: view_interval={view_interval} must be 0 (keep no '
                'views), 1 (all) or above.'
            )
        self.folder, self.archive = _places(out)
        self.root = Path(root).absolute() if root else None
        self.view_interval = view_interval
        self.info = dict(info or {})
        self._paths: dict[str, str] = {}
        if is_main_process():
            self._clear()
        barrier()  # nobody writes before the old dump is gone
        self._scores = _Archive(self.folder / 'scores.npz')
        self._maps = _Archive(self.archive) if self.archive else None

    def process(self, data_batch, data_samples: Sequence) -> None:
        """Keep a batch.

        Args:
            data_batch: ``inputs``, the views, uint8 ``(3, h, w)`` each, BGR;
                without them no view is kept.
            data_samples: Data samples, or dicts of them.
        """
        views = (data_batch or {}).get('inputs')
        for i, sample in enumerate(data_samples):
            if hasattr(sample, 'to_dict'):
                sample = sample.to_dict()
            view = None if views is None else as_array(views[i])
            super().process({}, [dict(sample, view=view)])

    def measure(self, sample: dict) -> dict:
        """Write the large parts of an image; the rest is its record."""
        image = self._name(str(get_field(sample, 'img_path', self)))
        key = '/'.join(_parts(image))
        path = str(sample['img_path'])
        if self._paths.setdefault(key, path) != path:
            raise ValueError(
                f'DumpMaps: {self._paths[key]!r} and {path!r} would both be '
                f'called {key!r}: give the folder that holds both as `root`, '
                'and image files of one folder different stems.'
            )
        height, width = map(int, get_field(sample, 'img_shape', self)[:2])
        entry = dict(image=image, width=width, height=height)
        if sample.get('gt_label') is not None:
            labels = as_array(sample['gt_label']).ravel().tolist()
            entry.update(label=labels[0], labels=labels)
        boxes = get_boxes(sample)
        if boxes is not None:
            entry['boxes'] = boxes.tolist()
        for field in ('pred_bbox', 'pred_label', 'ori_shape', 'sample_idx'):
            if sample.get(field) is not None:
                entry[field] = as_array(sample[field]).tolist()
        entry['img_path'] = path

        pred_map = as_array(get_field(sample, 'pred_map', self))
        if self._maps:
            self._maps.add(key, pred_map.astype(np.float32))
        else:
            np.save(self._file('maps', key, 'npy'), pred_map.astype(np.float32))
        if sample.get('pred_score') is not None:
            self._scores.add(key, as_array(sample['pred_score']).astype(np.float32))
        mask = get_mask(sample)
        if mask is not None:
            _write(self._file('masks', key, 'png'), mask.astype(np.uint8))
        view = sample.get('view')
        if (
            view is not None
            and self.view_interval
            and int(sample.get('sample_idx') or 0) % self.view_interval == 0
        ):
            if view.dtype == np.uint8:  # others are no picture any more
                _write(
                    self._file('views', key, 'jpg'),
                    np.ascontiguousarray(view.transpose(1, 2, 0)),
                )
        return dict(entry=json.dumps(entry).encode())

    def evaluate(self, size: int) -> dict:
        """Finish the files; without any figures."""
        self._scores.close()
        if self._maps:
            self._maps.close()
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict:
        """Write the list of the images (main process)."""
        super().compute_metrics(results)
        self._scores.merge()
        if self._maps:
            self._maps.merge()
        entries = [json.loads(x) for x in (self.table or {}).get('entry', ())]
        self.table = None  # all of it is on disk
        (self.folder / 'samples.json').write_text(
            '[\n' + ',\n'.join(map(json.dumps, entries)) + '\n]\n', encoding='utf-8'
        )
        classes = (self.dataset_meta or {}).get('classes')
        _write_json(
            self.folder / 'run.json',
            dict(self.info, classes=list(classes) if classes else None),
        )
        return {}

    def compute(self, table: dict[str, np.ndarray]) -> dict[str, float]:
        """No figures."""
        return {}

    def _name(self, path: str) -> str:
        if self.root is not None:
            full = Path(path).absolute()
            if full.is_relative_to(self.root):
                return full.relative_to(self.root).as_posix()
        return '/'.join(PurePath(path.replace('\\', '/')).parts[-2:])

    def _file(self, kind: str, key: str, suffix: str) -> Path:
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
        for kind in ('maps', 'masks', 'views'):
            shutil.rmtree(self.folder / kind, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'samples.json').unlink(missing_ok=True)
        _write_json(marker, self.info)


class MapDump:
    """Reads what :class:`DumpMaps` kept.

    Args:
        path: The folder or ``.npz`` file that was given as ``out``.

    Attributes:
        info: What was kept of the run, ``classes`` among it.
        entries: The list of ``samples.json`` by the name of the image.

    Raises:
        FileNotFoundError: If there is no finished dump.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder, archive = _places(path)
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
                'is missing): give the folder or .npz that `tools/test.py '
                '--dump` wrote.'
            )
        self.info: dict = _read_json(self.folder / 'run.json')
        self.entries: dict[str, dict] = {
            '/'.join(_parts(x['image'])): x
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
        """
        for i, name in enumerate(self.entries if names is None else names):
            entry = self.entries[name]
            if self._maps is None:
                pred_map = np.load(self.folder / 'maps' / f'{name}.npy')
            else:
                pred_map = self._maps[name]
            sample = dict(
                sample_idx=i,
                img_path=name,
                pred_map=pred_map,
                img_shape=(entry['height'], entry['width']),
            )
            if 'labels' in entry:
                sample['gt_label'] = np.array(entry['labels'])
            if 'boxes' in entry:
                sample['gt_bboxes'] = np.array(entry['boxes'], np.float64)
            if 'pred_bbox' in entry:
                sample['pred_bbox'] = np.array(entry['pred_bbox'], np.float32)
            if 'pred_label' in entry:
                sample['pred_label'] = np.array(entry['pred_label'])
            if name in self._scores:
                sample['pred_score'] = self._scores[name]
            mask = self.folder / 'masks' / f'{name}.png'
            if mask.is_file():
                sample['gt_seg_map'] = _read(mask, cv2.IMREAD_UNCHANGED)
            yield sample

    def view(self, name: str) -> np.ndarray | None:
        """The view of an image, ``(h, w, 3)`` uint8, BGR, if it was kept."""
        file = self.folder / 'views' / f'{name}.jpg'
        return _read(file, cv2.IMREAD_COLOR) if file.is_file() else None


class _Archive:
    """An npz that is written array by array.

    Processes but the first write a part beside it, and the first one merges.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.zip = zipfile.ZipFile(self._part(get_rank()), 'w')
        self.names: set[str] = set()

    def _part(self, rank: int) -> Path:
        return (
            self.path
            if rank == 0
            else self.path.with_name(f'{self.path.name}.part{rank}')
        )

    def add(self, name: str, array: np.ndarray) -> None:
        if name not in self.names:
            self.names.add(name)
            with self.zip.open(f'{name}.npy', 'w') as file:
                np.lib.format.write_array(
                    file, np.ascontiguousarray(array), allow_pickle=False
                )

    def close(self) -> None:
        self.zip.close()

    def merge(self) -> None:
        with zipfile.ZipFile(self.path, 'a') as whole:
            known = set(whole.namelist())
            for rank in range(1, get_world_size()):
                with zipfile.ZipFile(self._part(rank)) as part:
                    for name in part.namelist():
                        if name not in known:
                            known.add(name)
                            whole.writestr(name, part.read(name))
                self._part(rank).unlink()


def _places(out: str | Path) -> tuple[Path, Path | None]:
    """The folder of a dump, and the archive of its maps if there is one."""
    path = Path(out)
    return (path.with_suffix(''), path) if path.suffix == '.npz' else (path, None)


def _write(file: Path, image: np.ndarray) -> None:
    # imencode, not imwrite: paths need not be ASCII.
    file.write_bytes(cv2.imencode(file.suffix, image)[1].tobytes())


def _read(file: Path, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), flag)
    if image is None:
        raise ValueError(f'{file} is no picture.')
    return image


def _write_json(file: Path, content) -> None:
    file.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def _read_json(file: Path):
    return json.loads(file.read_text(encoding='utf-8'))
