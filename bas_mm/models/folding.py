"""BatchNorm folded into the convolutions before it, for inference."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bas_mm.models.classifiers.two_networks import PARTS
from bas_mm.models.necks.split_neck import SplitNeck
from bas_mm.models.watch import Call, watch_once

#: Subclasses do more: that of timm, for instance, activates.
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


@torch.no_grad()
def fold_norms(model: nn.Module) -> int:
    """Fold each BatchNorm of the trunks that can be folded, in place.

    Its scale goes into the weights of the convolution before it, its shift into the
    bias, and nothing stays in its place. Which pairs there are is not read from the
    order of the layers but seen, while the trunk runs once on a tiny view. A pair
    is left as it is where the neck hands out what is between the two (a cut, a
    tap), another module reads it, one of them is hooked or runs twice, or the
    convolution changes its weights as it runs. What no module reads is not seen;
    the features of the whole trunk are compared in the end.

    Results are the same, to rounding. Weights can no longer be loaded, nor can the
    model be trained.

    Args:
        model: In eval mode, with its weights.

    Returns:
        How many were folded.

    Raises:
        ValueError: If a trunk gives other features than before.
    """
    networks = [getattr(model, part) for part in PARTS if hasattr(model, part)]
    return sum(_fold_trunk(network) for network in networks or [model])


def _fold_trunk(network: Any) -> int:
    trunk = getattr(network, 'backbone', network)
    neck = getattr(network, 'neck', None)
    forward = neck if isinstance(neck, SplitNeck) else trunk
    view, out, watch = watch_once(trunk, forward)
    handed = {watch.key(one) for one in _as_list(out)}
    before = [one.clone() for one in _as_list(out)]
    count = 0
    for conv, norm in _find_pairs(trunk, watch.calls, handed):
        if (fused := _fuse(trunk, conv, norm)) is not None:
            trunk.set_submodule(conv.name, fused)
            trunk.set_submodule(norm.name, nn.Identity())
            count += 1
    if not all(map(_same, _as_list(forward(view)), before)):
        raise ValueError(
            f'{type(trunk).__name__} gives other features once its BatchNorm is folded '
            'into its convolutions: leave out `fast` (--fast).'
        )
    return count


def _find_pairs(
    trunk: nn.Module, calls: Sequence[Call], handed: set[Any]
) -> Iterator[tuple[Call, Call]]:
    """Find convolutions whose output a BatchNorm reads, and nothing else.

    Args:
        trunk: What was watched.
        calls: Of its modules.
        handed: Keys of the tensors that are handed out.
    """
    modules = {call.name: trunk.get_submodule(call.name) for call in calls}
    times = Counter(call.name for call in calls)
    readers = Counter(call.took for call in calls if _is_leaf(modules[call.name]))
    single = {
        name
        for name, module in modules.items()
        if times[name] == 1 and not (module._forward_hooks or module._forward_pre_hooks)
    }
    convs = {
        call.gave: call
        for call in calls
        if isinstance(modules[call.name], nn.Conv2d) and call.name in single
    }
    for call in calls:
        if (
            type(modules[call.name]) in NORMS
            and call.name in single
            and call.took in convs
            and call.took not in handed
            and readers[call.took] == 1
        ):
            yield convs[call.took], call


def _fuse(trunk: nn.Module, conv: Call, norm: Call) -> nn.Module | None:
    """Give what stands for both; None where it does not give the same."""
    first: Any = trunk.get_submodule(conv.name)
    second: Any = trunk.get_submodule(norm.name)
    if second.running_mean is None:  # it takes the statistics of each batch
        return None
    fused = fuse_conv_bn_eval(first, second)
    return fused if _same(fused(*conv.args), second(first(*conv.args))) else None


def _same(values: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether features are the same, to rounding that has gone through a trunk."""
    return bool((values - others).abs().max() <= 1e-3 * others.abs().max())


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _as_list(out: Any) -> Sequence[torch.Tensor]:
    return out if isinstance(out, (tuple, list)) else [out]
