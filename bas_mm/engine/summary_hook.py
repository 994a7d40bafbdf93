"""``summary.json``: what a run was and what came out, for other programs."""

import datetime
import hashlib
import json
import os.path as osp
import platform
import re
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bas_mm.localization import as_array
from bas_mm.registry import HOOKS
from bas_mm.utils.files import plain, without_nan, write_atomic
from bas_mm.utils.models import unwrap
from bas_mm.visualization.sheet import spread_indices

NAME = 'summary.json'
#: Packages whose versions are kept.
PACKAGES = (
    *('bas_mm', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain'),
    *('numpy', 'cv2'),
)
#: Settings that say where and how fast a run computes, not what.
_PLACES = {'work_dir', 'launcher', 'resume', 'load_from', 'log_level', 'data_root'}
_PLACES |= {'num_workers', 'pin_memory', 'persistent_workers', 'env_cfg', 'visualizer'}
#: So many files are looked at for their sizes.
_FILES = 1000


@HOOKS.register_module()
class SummaryHook(Hook):
    """Keeps ``summary.json`` in the work dir of a run.

    The file has a part for each kind of run, ``train`` and ``test``; a run
    replaces its own. It is written when the run begins (``complete`` false),
    after each validation and at the end, by the first process. Keys:

    - ``command``, ``config``, ``config_hash`` (see :func:`config_hash`),
      ``checkpoint`` (what was tested, or the last that was written),
    - ``versions``, ``device``, ``processes``, ``seed``,
    - ``data``: for each split ``root``, ``images`` and ``fingerprint`` (see
      :func:`data_fingerprint`),
    - ``started``, ``seconds``, ``peak_memory`` (MiB: ``process``, and
      ``device`` on a GPU), ``epochs``,
    - ``figures``: of the last validation or of the test; no NaN,
    - ``training`` (of a test): seed, hashes and time of the run that wrote the
      checkpoint, where its summary lies beside it,
    - ``complete``.

    Args:
        kind: ``'train'`` or ``'test'``.
        command: The command line.
        checkpoint: What is tested; defaults to what the runner loads.
    """

    priority = 'LOWEST'  # after the last checkpoint

    def __init__(
        self, kind: str, command: str = '', checkpoint: str | None = None
    ) -> None:
        self.kind = kind
        self.checkpoint = checkpoint
        self.values: dict[str, Any] = dict(command=command)
        self._start = time.time()

    def before_train(self, runner: Runner) -> None:
        """Write what the run is."""
        self._begin(runner, ('train', 'val') if runner.val_loop else ('train',))

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Write the figures of a validation."""
        self.save(runner, figures=dict(metrics or {}))

    def after_train(self, runner: Runner) -> None:
        """Finish the file, and say what there is."""
        path = Path(runner.work_dir, 'last_checkpoint')
        last = path.read_text() if path.is_file() else None
        self.save(runner, complete=True, checkpoint=last)
        took = datetime.timedelta(seconds=int(self.values.get('seconds', 0)))
        runner.logger.info(
            f'Trained in {took}. Last checkpoint: {last}; figures and versions: '
            f'{osp.join(runner.work_dir, NAME)}'
        )

    def before_test(self, runner: Runner) -> None:
        """Write what the run is."""
        if self.kind != 'test':
            return  # that of a training goes on to a test of its own
        checkpoint = self.checkpoint or runner._load_from
        beside = Path(str(checkpoint)).parent / NAME
        trained = read_summary(beside).get('train', {}) if checkpoint else {}
        keys = ['config_hash', 'seed', 'epochs', 'seconds', 'peak_memory', 'data']
        last, name = trained.get('checkpoint'), osp.basename(str(checkpoint))
        if last is not None and osp.basename(last) != name:  # one from before
            keys.remove('seconds')
            epoch = re.fullmatch(r'epoch_(\d+)\.pth', name)
            trained['epochs'] = int(epoch[1]) if epoch else None
        self._begin(
            runner,
            ('test',),
            checkpoint=checkpoint,
            training={k: trained[k] for k in keys if k in trained} or None,
        )

    def _begin(self, runner: Runner, splits: tuple[str, ...], **values: Any) -> None:
        if not is_main_process():
            return
        loaders = {name: getattr(runner, f'{name}_dataloader') for name in splits}
        self.save(
            runner,
            config=runner.cfg.filename,
            config_hash=config_hash(runner.cfg),
            versions=find_versions(),
            device=str(next(unwrap(runner.model).parameters()).device),
            processes=runner.world_size,
            seed=runner.seed,
            data={name: describe(one.dataset) for name, one in loaders.items()},
            started=datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
            **values,
        )

    def save(self, runner: Runner, complete: bool = False, **values: Any) -> None:
        """Write the file, on the first process.

        Args:
            runner: The runner.
            complete: Whether the run is over.
            **values: What is new.
        """
        if not is_main_process():
            return
        if 'figures' in values:
            values['figures'] = without_nan(plain(values['figures']))
        if self.kind == 'train':
            values['epochs'] = runner.epoch
        self.values.update(
            values,
            seconds=round(time.time() - self._start, 1),
            peak_memory=peak_memory(),
            complete=complete,
        )
        path = Path(runner.work_dir) / NAME
        content = read_summary(path) | {self.kind: self.values}
        write_atomic(path, f'{json.dumps(content, indent=1)}\n'.encode())


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read ``summary.json``; empty where there is none that can be read."""
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def config_hash(cfg: Config) -> str:
    """Hash what a config asks for: equal for equal experiments.

    Folders, loader workers and the like do not count: they say where and how
    fast a run computes, not what.

    Returns:
        64 hexadecimal digits, SHA-256 of the config as sorted json.

    Example:
        >>> a, b = Config(dict(lr=1, work_dir='a')), Config(dict(work_dir='b', lr=1))
        >>> config_hash(a) == config_hash(b) != config_hash(Config(dict(lr=2)))
        True
    """

    def strip(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {str(k): strip(v) for k, v in part.items() if k not in _PLACES}
        return [strip(one) for one in part] if isinstance(part, (list, tuple)) else part

    text = json.dumps(strip(cfg.to_dict()), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def data_fingerprint(dataset: Any) -> str | None:
    """Hash a data set: names, labels and boxes, and sizes of about 1,000 files.

    Names are paths below the root, so that a copy in another folder has the
    same fingerprint.

    Args:
        dataset: With ``get_data_info``, as data sets of mmengine have it.

    Returns:
        64 hexadecimal digits; None for another kind of data set.
    """
    if not hasattr(dataset, 'get_data_info'):
        return None
    root = osp.abspath(getattr(dataset, 'data_root', None) or '.') + osp.sep
    sized = set(spread_indices(len(dataset), _FILES)) if len(dataset) else set()
    digest = hashlib.sha256()
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        path = osp.abspath(str(info.get('img_path', '')))
        boxes = info.get('gt_bboxes')
        label = info.get('gt_label')
        parts = [
            path.removeprefix(root),
            as_array(label).tolist() if label is not None else None,
            as_array(boxes).tolist() if boxes is not None else None,
            osp.getsize(path) if i in sized and osp.isfile(path) else None,
        ]
        digest.update(f'{json.dumps(parts)}\n'.encode())
    return digest.hexdigest()


def describe(dataset: Any) -> dict[str, Any]:
    """Give root, number of images and fingerprint of a data set."""
    root = getattr(dataset, 'data_root', None)
    return dict(
        type=type(dataset).__name__,
        root=None if root is None else osp.abspath(root),
        images=len(dataset),
        fingerprint=data_fingerprint(dataset),
    )


def find_versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that compute.

    Example:
        >>> find_versions()['torch'] == torch.__version__
        True
    """
    versions = {name: str(import_module(name).__version__) for name in PACKAGES}
    return dict(python=platform.python_version(), **versions)


def peak_memory() -> dict[str, int]:
    """Give the most memory that was used so far, in MiB.

    Returns:
        ``process`` (where the system tells), and ``device`` on a GPU.
    """
    found = {}
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found['process'] = peak // (1024 if sys.platform != 'darwin' else 1024**2)
    if torch.cuda.is_available():
        found['device'] = torch.cuda.max_memory_allocated() // 1024**2
    return found
