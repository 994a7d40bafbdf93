"""Checks of the installed packages, done once by ``import bas_mm``.

Nothing here imports OpenMMLab: a missing package has to be named before some
other import dies of it.
"""

import importlib
import importlib.util
import sys
import warnings
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


#: The last Python on which the original mmengine trains: it asks for
#: ``pkgutil.find_loader``, which the next one has no more.
_LAST_PYTHON = (3, 13)


def check_environment() -> None:
    """Check that what ``bas_mm`` stands on is there and fits together.

    Warns where both sets of OpenMMLab packages are installed: they own the
    same import names and have overwritten each other.

    Raises:
        ImportError: If torch, torchvision, mmengine, mmcv or mmpretrain is
            missing, if torch and torchvision do not fit, or if mmengine
            cannot work on this Python; the message says what to install.
    """
    for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain'):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f'bas_mm needs {name}, which is not installed. {_HINTS[name]}',
                name=name,
            )
    _check_openmmlab()
    _import_torch_pair()
    # What mmcv-lite says of itself at its import; no model here needs that op.
    warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention')


def _check_openmmlab() -> None:
    """Check which of the two sets of packages is installed."""
    found = {name: _version(name) for name in ('mmengine', 'onedl-mmengine')}
    originals = [name for name, version in found.items() if version is not None]
    if len(originals) == 2:
        warnings.warn(
            'Both mmengine and onedl-mmengine are installed. They own the import name '
            "'mmengine' and have overwritten each other: uninstall both, and mmcv, "
            'mmpretrain and their onedl- twins, then install one set only '
            "(in a clone `pip install -e '.[lite]'` or `'.[onedl]'`).",
            stacklevel=3,
        )
    elif originals == ['mmengine'] and sys.version_info[:2] > _LAST_PYTHON:
        raise ImportError(
            f'mmengine {found["mmengine"]} does not train on Python '
            f'{sys.version_info[0]}.{sys.version_info[1]}. Take the maintained '
            "packages of the extra `onedl` (in a clone `pip install -e '.[onedl]'`) "
            'instead of mmengine, mmcv and mmpretrain, or Python 3.10 to 3.13.',
            name='mmengine',
        )


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


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
