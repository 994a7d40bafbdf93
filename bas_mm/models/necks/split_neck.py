"""The backbone-split neck."""

from typing import Iterator, List, Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import nn

from bas_mm.registry import MODELS


@MODELS.register_module()
class SplitNeck(BaseModule):
    """Cuts one stock backbone in two: ``f2(f1(x))`` is the backbone itself.

    BAS reads its generator from the features between ``f1`` (the extractor)
    and ``f2`` (the rest of the trunk), see Sec. 3.1 of the `paper
    <https://arxiv.org/abs/2112.00580>`_. The neck owns no layer: both halves
    are views of the backbone's children, taken in forward order each time
    they are asked for. The keys of the state dict stay ``backbone.*``, so any
    mmpretrain or torchvision checkpoint loads, and layers that something
    replaced later (``SyncBatchNorm``, say) are seen.

    The backbone must run its children one after the other, as ``VGG``,
    ``ResNet``, ``MobileNetV2`` and ``InceptionV3`` do. A dotted name cuts
    inside a :class:`torch.nn.Sequential` child.

    Args:
        start (str, optional): Name of the first layer of ``f2``, as in
            ``backbone.named_modules()``: ``'layer4'``, ``'features.13'``.
            None: ``f1`` is the whole trunk, ``f2`` the identity.
        end (str, optional): Name of the first layer that belongs to neither
            half (a classifier to leave out). Defaults to None.
        pool (int, optional): Kernel and stride of a max-pool that stands
            before ``start`` and belongs to ``f2``. Defaults to None.
    """

    def __init__(
        self,
        start: Optional[str] = None,
        end: Optional[str] = None,
        pool: Optional[int] = None,
    ) -> None:
        super().__init__()
        self.start = start
        self.end = end
        self.pool = pool
        self._backbone: Tuple[nn.Module, ...] = ()  # a tuple: not registered

    def bind(self, backbone: nn.Module) -> None:
        """Points the neck at the backbone that it cuts.

        Args:
            backbone (nn.Module): The trunk; it stays registered where it is.

        Raises:
            ValueError: If ``start`` or ``end`` is no layer at which the
                backbone can be cut, or they stand in the wrong order.
        """
        self._backbone = (backbone,)
        names = [name for name, _ in self._layers(backbone)]
        for field, name in (('start', self.start), ('end', self.end)):
            if name is not None and name not in names:
                raise ValueError(
                    f'SplitNeck: {field}={name!r} is not a layer of '
                    f'{type(backbone).__name__} at which it can be cut. '
                    f'Set `model.neck.{field}` to one of: {", ".join(names)}'
                )
        if self.start is not None and self.end is not None and self._parts()[1] == []:
            raise ValueError(
                f'SplitNeck: end={self.end!r} must come after '
                f'start={self.start!r}. The layers of '
                f'{type(backbone).__name__} in order: {", ".join(names)}'
            )

    def _layers(
        self, module: nn.Module, prefix: str = ''
    ) -> Iterator[Tuple[str, nn.Module]]:
        """Every layer at which the trunk can be cut, outer ones first."""
        for name, child in module.named_children():
            yield prefix + name, child
            if isinstance(child, nn.Sequential):
                yield from self._layers(child, f'{prefix}{name}.')

    def _parts(self) -> Tuple[List[nn.Module], List[nn.Module]]:
        """The layers of ``f1`` and of ``f2`` in forward order."""
        parts: Tuple[List[nn.Module], List[nn.Module]] = ([], [])
        state = dict(part=0, done=False)

        def holds(name: str, target: Optional[str]) -> bool:
            return target is not None and target.startswith(name + '.')

        def walk(module: nn.Module, prefix: str) -> None:
            for name, child in module.named_children():
                name = prefix + name
                if name == self.start:
                    state['part'] = 1
                if name == self.end:
                    state['done'] = True
                if state['done']:
                    return
                if holds(name, self.start) or holds(name, self.end):
                    walk(child, name + '.')
                else:
                    parts[state['part']].append(child)

        walk(self.backbone, '')
        return parts

    @property
    def backbone(self) -> nn.Module:
        """nn.Module: The backbone that the neck cuts."""
        if not self._backbone:
            raise RuntimeError(
                'SplitNeck has no backbone yet: build it inside a model '
                "(`neck=dict(type='bas_mm.SplitNeck', ...)`) or call "
                '`neck.bind(backbone)` first.'
            )
        return self._backbone[0]

    @property
    def f1(self) -> nn.Sequential:
        """nn.Sequential: View of the extractor, image to ``F``."""
        return nn.Sequential(*self._parts()[0])

    @property
    def f2(self) -> nn.Sequential:
        """nn.Sequential: View of the rest of the trunk, ``F`` to features."""
        layers = self._parts()[1]
        if self.pool is not None:
            layers = [nn.MaxPool2d(self.pool), *layers]
        return nn.Sequential(*layers)

    def forward(self, inputs: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        """Runs the cut trunk.

        Args:
            inputs (torch.Tensor): Images, ``(B, 3, H, W)``.

        Returns:
            tuple[torch.Tensor]: ``F`` ``(B, N, h, w)`` and the features that
            the classification head reads.
        """
        feat = self.f1(inputs)
        return feat, self.f2(feat)
