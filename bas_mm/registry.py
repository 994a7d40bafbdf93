"""Registries of ``bas_mm``.

Each is a child of mmengine's registry of the same kind. Configs keep
``default_scope = 'mmpretrain'``, write our own types as ``bas_mm.X`` and
stock types bare: a prefixed look-up imports this module and the
``locations`` below by itself, so no ``custom_imports`` is needed.
"""

from mmengine import registry as _mmengine
from mmengine.registry import Registry

MODELS = Registry(
    'model', parent=_mmengine.MODELS, scope='bas_mm', locations=['bas_mm.models']
)
DATASETS = Registry(
    'dataset', parent=_mmengine.DATASETS, scope='bas_mm', locations=['bas_mm.datasets']
)
TRANSFORMS = Registry(
    'transform',
    parent=_mmengine.TRANSFORMS,
    scope='bas_mm',
    locations=['bas_mm.datasets'],
)
METRICS = Registry(
    'metric', parent=_mmengine.METRICS, scope='bas_mm', locations=['bas_mm.evaluation']
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=_mmengine.DATA_SAMPLERS,
    scope='bas_mm',
    locations=['bas_mm.datasets'],
)
HOOKS = Registry(
    'hook', parent=_mmengine.HOOKS, scope='bas_mm', locations=['bas_mm.engine']
)
LOOPS = Registry(
    'loop', parent=_mmengine.LOOPS, scope='bas_mm', locations=['bas_mm.engine']
)
RUNNERS = Registry(
    'runner', parent=_mmengine.RUNNERS, scope='bas_mm', locations=['bas_mm.engine']
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim_wrapper constructor',
    parent=_mmengine.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='bas_mm',
    locations=['bas_mm.engine'],
)
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=_mmengine.OPTIM_WRAPPERS,
    scope='bas_mm',
    locations=['bas_mm.engine'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=_mmengine.VISUALIZERS,
    scope='bas_mm',
    locations=['bas_mm.visualization'],
)

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'HOOKS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'OPTIM_WRAPPERS',
    'RUNNERS',
    'TRANSFORMS',
    'VISUALIZERS',
]
