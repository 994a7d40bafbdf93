"""Weakly supervised object localization for OpenMMLab's runner."""

from .utils.env import check_environment

check_environment()

# Every checkpoint that is loaded from here on goes through the safe loader.
from .engine import checkpoint as _checkpoint  # noqa: E402, F401

__version__ = '0.1.0'


def __getattr__(name: str):
    """Gives ``bas_mm.WSOLInferencer``, imported on first use."""
    if name == 'WSOLInferencer':
        from .apis import WSOLInferencer

        return WSOLInferencer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
