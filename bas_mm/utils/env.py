"""Checks of the installed packages, done once by ``import bas_mm``.

Nothing here imports OpenMMLab: a missing package has to be named before some
other import dies of it.
"""

import importlib
import importlib.util
from importlib import metadata

_ONE_ONLY = 'Install one of them only: all own the import name {0!r}.'

_HINTS = {
    'mmengine': 'Install it with `pip install mmengine` (original) or '
    '`pip install onedl-mmengine` (maintained successor). '
    + _ONE_ONLY.format('mmengine'),
    'mmcv': 'Install it with `pip install mmcv-lite` (no compiled ops, all '
    'that bas_mm needs), or the full package with `pip install openmim` and '
    '`mim install mmcv`, or, beside onedl-mmengine, `pip install onedl-mmcv`. '
    + _ONE_ONLY.format('mmcv'),
    'mmpretrain': 'Install it with `pip install mmpretrain` (original) or '
    '`pip install onedl-mmpretrain` (maintained successor). '
    + _ONE_ONLY.format('mmpretrain'),
    'torch': 'Install it with its torchvision, e.g. from the repository '
    '`pip install -c constraints.txt torch torchvision`.',
    'torchvision': 'Install the one that fits your torch, e.g. from the '
    'repository `pip install -c constraints.txt torch torchvision`.',
}


def check_environment() -> None:
    """Check that what ``bas_mm`` stands on is there and fits together.

    Raises:
        ImportError: If torch, torchvision, mmengine, mmcv or mmpretrain is
            missing, or if torch and torchvision do not fit; the message says
            what to install.
    """
    for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain'):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f'bas_mm needs {name}, which is not installed. {_HINTS[name]}',
                name=name,
            )
    _import_torch_pair()


def _import_torch_pair() -> None:
    """Import torch and torchvision; mmpretrain's models do so anyway.

    No version number tells whether the two fit (builds of the same version
    for CPU and CUDA do not), so the import is the test: a wrong pair dies of
    ``operator torchvision::nms does not exist`` or the like.
    """
    for name in ('torch', 'torchvision'):
        try:
            importlib.import_module(name)
        except (ImportError, RuntimeError, OSError, AttributeError) as error:
            raise ImportError(
                f'torch {_version("torch")} and torchvision '
                f'{_version("torchvision")} are installed, but importing '
                f'{name} fails: {error}. Most often the two do not fit '
                'together (other version, or one built for CPU and the other '
                'for CUDA). Install a matching pair from one source, e.g. '
                'from the repository `pip install --force-reinstall '
                '-c constraints.txt torch torchvision`.',
                name=name,
            ) from error


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return '(unknown version)'
