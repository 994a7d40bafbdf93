"""Build bas_mm: setuptools, and whether it is for a clone or for a wheel.

mmengine, mmcv and mmpretrain are on PyPI under two sets of names, the originals
and the ``onedl-`` successors, with the same import names: both sets in one
environment overwrite each other. In a clone (``pip install -e '.[lite]'``) an
extra chooses the set. A wheel has to work by ``pip install WHEEL`` alone, so it
requires one of them itself. ``setup.py`` reads the variable that is set here.
"""

import os
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the hooks of PEP 517


def _for_a_clone(hook: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        os.environ['BAS_MM_IN_A_CLONE'] = '1'
        return getattr(build_meta, hook)(*args, **kwargs)

    return call


# the hooks of PEP 660
build_editable = _for_a_clone('build_editable')
get_requires_for_build_editable = _for_a_clone('get_requires_for_build_editable')
prepare_metadata_for_build_editable = _for_a_clone(
    'prepare_metadata_for_build_editable'
)
