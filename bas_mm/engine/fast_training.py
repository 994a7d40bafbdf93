"""Training that trades precision for time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch import nn

from bas_mm.registry import HOOKS, OPTIM_WRAPPERS
from bas_mm.utils.devices import has_bf16
from bas_mm.utils.models import unwrap


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Computes losses in bfloat16, on any device that has it.

    Weights, gradients and updates stay float32. bfloat16 has the range of float32,
    so that no scale of the loss is needed: that is what ``AmpOptimWrapper`` adds,
    which takes no CPU.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute what is inside in bfloat16.

        Args:
            model: What is trained.
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the layers of the trunk before training.

    Layer by layer, not the trunk as one: layers of one kind and size share a
    compilation, and a cut, a tap or an insert between two changes nothing. The
    frozen pass of BAS runs the same layers, with constants for weights. Names of
    weights stay as they are.

    Args:
        backend: Of :func:`torch.compile`. ``'inductor'`` needs a C++ compiler for
            CPUs, and is of no use there.
    """

    priority = 'VERY_LOW'

    def __init__(self, backend: str = 'inductor') -> None:
        self.backend = backend

    def before_train(self, runner: Any) -> None:
        """Let the layers be compiled at their next pass."""
        compile_trunks(unwrap(runner.model), self.backend)


def train_fast(cfg: Config, device: torch.device) -> None:
    """Let a training compute in bfloat16, in place; the ``--fast`` of training.

    On a GPU views and weights are laid out channels-last and the trunk is compiled
    as well: both are of no use to CPUs. Optimizers take fused kernels anyway
    (:mod:`bas_mm.engine.merged_steps`).

    Args:
        cfg: The config of a training.
        device: Where it will run.

    Raises:
        ValueError: If the device computes no faster in bfloat16, or the config has
            an optimizer wrapper of its own, such as that of ``--amp``.
    """
    if not has_bf16(device):
        raise ValueError(
            f'--fast computes in bfloat16, and {device} is no faster at it: leave '
            '--fast out.'
        )
    kind = cfg.optim_wrapper.get('type', OptimWrapper.__name__)
    if kind not in (OptimWrapper, OptimWrapper.__name__):
        raise ValueError(
            f'--fast brings an optimizer wrapper, and there is one: {kind}. Leave '
            'out --fast, or --amp and `optim_wrapper.type`.'
        )
    cfg.optim_wrapper.type = f'bas_mm.{BF16OptimWrapper.__name__}'
    if device.type == 'cuda':
        # not above: `import bas_mm` reads this module, and is to be quick
        from bas_mm.models.classifiers.two_networks import PARTS

        networks = [cfg.model.get(part) for part in PARTS]
        for owner in filter(None, (cfg, cfg.model, *networks)):
            found = owner.get('data_preprocessor')
            kind = found and found.get('type', owner.get('type', cfg.model.get('type')))
            if str(kind).startswith('bas_mm.'):  # a stock one lays nothing out
                found.channels_last = True
        hooks = [
            *cfg.get('custom_hooks', ()),
            dict(type=f'bas_mm.{CompileHook.__name__}'),
        ]
        cfg.custom_hooks = hooks


def compile_trunks(model: nn.Module, backend: str = 'inductor') -> int:
    """Let the layers of the trunks be compiled, in place, at their next pass.

    Args:
        model: A model with a :class:`bas_mm.models.SplitNeck`, or several.
        backend: Of :func:`torch.compile`.

    Returns:
        The number of layers; inserts are left out.
    """
    from bas_mm.models.necks.split_neck import SplitNeck

    trunks = {id(m.backbone): m for m in model.modules() if isinstance(m, SplitNeck)}
    layers = [
        layer
        for neck in trunks.values()
        for layer in neck.steps()
        if any(layer is module for module in neck.backbone.modules())
    ]
    for layer in layers:
        layer.compile(backend=backend)
    # all layers count as one function, and each may run in two modes, with weights
    # or constants; beyond the limit a layer silently runs as it was
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, 8 * len(layers))
    return len(layers)
