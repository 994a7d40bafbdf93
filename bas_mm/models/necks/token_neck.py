"""The neck for transformers: what their layers hold beside a feature map."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmpretrain.models.utils import MultiheadAttention
from torch import nn

from bas_mm.models.necks.split_neck import Pass, SplitNeck
from bas_mm.models.trunks import Tokens
from bas_mm.registry import MODELS

# what hooks found: the kind of reading and the number of the layer
_Found = dict[tuple[str, int], torch.Tensor]


@MODELS.register_module()
class TokenNeck(SplitNeck):
    """A :class:`SplitNeck` that also hands out what only transformers have.

    The stock layers give no attention and no keys: while the trunk runs, hooks
    read the output of the linear layer that makes queries, keys and values,
    and attention is computed from it once more. For trunks of mmpretrain whose
    ``layers`` have a ``MultiheadAttention`` (ViT, DeiT, DINOv2).

    What is asked for stands before the features of :class:`SplitNeck`, in
    this order:

    - ``attention``: what the extra tokens attend to, the class token first,
      ``(B, L, heads, E, T)`` for L layers, E extra tokens among T, softmaxed;
    - ``keys``: ``(B, N, h, w)``, those of the patches;
    - ``gates``: ``(B, L, h, w)``, of the layers that have one
      (:class:`bas_mm.models.SATVisionTransformer`);
    - ``cls_token``: ``(B, N, 1, 1)`` behind the last layer and its norm.

    Args:
        *args: The arguments of :class:`SplitNeck`.
        attention: Hand out the attention of all layers.
        keys: The layer whose keys are handed out: its number, negative ones
            from the last. None: no keys.
        gates: Hand out the gates.
        cls_token: Hand out the class token.
        **kwargs: The arguments of :class:`SplitNeck`.
    """

    def __init__(
        self,
        *args: Any,
        attention: bool = False,
        keys: int | None = None,
        gates: bool = False,
        cls_token: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.attention = attention
        self.keys = keys
        self.gates = gates
        self.cls_token = cls_token

    def bind(self, backbone: nn.Module) -> None:
        """Point the neck at its backbone, see :meth:`SplitNeck.bind`.

        Raises:
            ValueError: Also if the backbone does not have what is asked for.
        """
        super().bind(backbone)
        name = type(backbone).__name__
        layers = getattr(backbone, 'layers', ())
        if not len(layers) or not all(
            isinstance(getattr(layer, 'attn', None), MultiheadAttention)
            for layer in layers
        ):
            raise ValueError(
                f'TokenNeck reads transformers of mmpretrain that attend by its '
                f'MultiheadAttention (VisionTransformer, DeiT); {name} is none: set '
                "`model.neck.type='bas_mm.SplitNeck'`."
            )
        if (self.attention or self.cls_token) and (
            getattr(backbone, 'cls_token', None) is None
        ):
            raise ValueError(
                f'{name} has no class token for `model.neck.attention` or '
                '`model.neck.cls_token`: set `model.backbone.with_cls_token=True`.'
            )
        count = len(self._layers())
        if self.keys is not None and not -count <= self.keys < count:
            raise ValueError(
                f'`model.neck.keys` must be the number of a layer of {name}, '
                f'{-count} to {count - 1}, got {self.keys}.'
            )
        if self.gates and not self._gated():
            raise ValueError(
                f'No layer of {name} has a gate for `model.neck.gates`: set '
                "`model.backbone.type='bas_mm.SATVisionTransformer'`."
            )

    def run(self, x: torch.Tensor, stage: int = 0, first: Pass | None = None) -> Pass:
        """Run the trunk from one of its stages, see :meth:`SplitNeck.run`.

        Args:
            x: Features at the stage; the views for stage 0.
            stage: See :meth:`SplitNeck.stage_index`.
            first: The pass that gave the features. Readings of the layers
                before the stage are taken from it.

        Returns:
            Features and flows; what was asked for leads the features.
        """
        with self._recording() as found:
            plain = super().run(x, stage, first)
        h, w = plain.feats[-1].shape[2:]
        extras = []
        for k, (kind, layers) in enumerate(self._readings()):
            parts = []
            for j, i in enumerate(layers):
                if (kind, i) in found:
                    parts.append(self._read(kind, found[kind, i], i, (h, w)))
                elif first is not None:
                    old = first.feats[k]
                    parts.append(old[:, j] if kind in ('attention', 'gates') else old)
            several = kind in ('attention', 'gates')
            extras.append(torch.stack(parts, 1) if several else parts[0])
        return Pass((*extras, *plain.feats), plain.flows)

    def _layers(self) -> Sequence[Any]:
        """The layers of the trunk that run."""
        trunk: Any = self.backbone
        return trunk.layers[: max(trunk.out_indices) + 1]

    def _gated(self) -> list[int]:
        return [i for i, x in enumerate(self._layers()) if hasattr(x.attn, 'gate')]

    def _readings(self) -> Iterator[tuple[str, list[int]]]:
        """Kinds that are asked for, and the numbers of their layers."""
        count = len(self._layers())
        if self.attention:
            yield 'attention', list(range(count))
        if self.keys is not None:
            yield 'keys', [self.keys % count]
        if self.gates:
            yield 'gates', self._gated()
        if self.cls_token:
            yield 'cls_token', [count - 1]

    def _source(self, kind: str, layer: int) -> Any:
        """The module whose output is read."""
        trunk: Any = self.backbone
        if kind == 'cls_token':
            normed = trunk.final_norm and layer == len(trunk.layers) - 1
            return trunk.ln1 if normed else trunk.layers[layer]
        attn = trunk.layers[layer].attn
        return attn.gate if kind == 'gates' else attn.qkv

    @contextmanager
    def _recording(self) -> Iterator[_Found]:
        """Read the outputs of modules while the trunk runs."""
        found: _Found = {}

        def note(key: tuple[str, int], module: Any, args: Any, output: Any) -> None:
            found[key] = output

        handles = [
            self._source(kind, i).register_forward_hook(
                functools.partial(note, (kind, i))
            )
            for kind, layers in self._readings()
            for i in layers
        ]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()

    def _read(
        self, kind: str, value: torch.Tensor, layer: int, size: tuple[int, int]
    ) -> torch.Tensor:
        """Make of a module's output what is handed out for one layer."""
        if kind == 'cls_token':
            return value[:, 0, :, None, None]
        patches = size[0] * size[1]
        if kind == 'gates':  # (B, T)
            return value[:, -patches:].unflatten(1, size)
        query, key, _ = value.chunk(3, 2)  # (B, T, N) each
        if kind == 'keys':
            return Tokens(key, size).feat
        heads = self._layers()[layer].attn.num_heads
        extra = query.shape[1] - patches
        query = query[:, :extra].unflatten(2, (heads, -1)).transpose(1, 2)
        key = key.unflatten(2, (heads, -1)).permute(0, 2, 3, 1)
        return (query @ key * query.shape[3] ** -0.5).softmax(3)  # (B, heads, E, T)
