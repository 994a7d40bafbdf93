"""Weakly supervised object localization for OpenMMLab's runner."""

from typing import Any

from bas_mm.commands import runs_no_command

if not runs_no_command():  # `bas-mm --help` does not wait for torch
    from bas_mm.utils.env import check_environment

    check_environment()

    from bas_mm.engine.checkpoint import use_safe_checkpoints

    use_safe_checkpoints()

__version__ = '0.2.0'

#: Where the names that are imported on first use come from.
_LAZY = {
    'WSOLInferencer': 'bas_mm.apis.inferencer',
    'train': 'bas_mm.apis.training',
    'TrainedRun': 'bas_mm.apis.training',
    'find_config': 'bas_mm.utils.configs',
    'list_configs': 'bas_mm.utils.configs',
    'Acts': 'bas_mm.structures',
    'TestOptions': 'bas_mm.structures',
    'WSOLVisualizer': 'bas_mm.visualization',
    'DATA_SAMPLERS': 'bas_mm.registry',
    'HideAndSeek': 'bas_mm.datasets.transforms',
    **dict.fromkeys(
        (
            'ACoLHead',
            'ADL',
            'AMCLoss',
            'BASClassifier',
            'BASHead',
            'BoxHead',
            'C2AMHead',
            'CAMClassifier',
            'CAMHead',
            'DANetHead',
            'EILHead',
            'FlipScaleRefiner',
            'GCNetHead',
            'I2CLoss',
            'LOSTHead',
            'ORNetHead',
            'ORNetRefineHead',
            'RAMLoss',
            'RCAMHead',
            'SATHead',
            'SCGRefiner',
            'SPGHead',
            'SPOLHead',
            'SegHead',
            'SplitNeck',
            'TSCAMHead',
            'TokenCutHead',
            'TokenNeck',
            'TriLiteHead',
            'TwoNetworks',
            'WSOLClassifier',
            'ZoomRefiner',
        ),
        'bas_mm.models',
    ),
}


def __getattr__(name: str) -> Any:
    """Give ``bas_mm.WSOLInferencer`` and its like, imported on first use."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
