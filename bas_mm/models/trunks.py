"""How the layers of a backbone follow each other.

A trunk can be cut where one layer after the other takes the last one's output
and nothing else. Which layers do so is not read from the code of a backbone
but seen: its modules are watched while it runs once on a tiny view, and the
path from its output back to the view is the chain. What a layer adds outside
of its modules (a shortcut, a reshape) breaks the path, so that such a layer
is taken as a whole or refused.

Transformers pass sequences of tokens and reshape them on the way. Short tables
below say what their layers are; between them flow :class:`Tokens`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmpretrain.models import backbones
from mmpretrain.models.utils import resize_pos_embed
from torch import nn

from bas_mm.models.watch import watch_once


class Tokens(NamedTuple):
    """A sequence of tokens on its way through a transformer.

    Attributes:
        seq: Shape ``(B, T, N)``; the last ``h * w`` tokens are those of the
            patches, in raster order, those before are extra (class token).
        size: ``(h, w)`` of the patches.
    """

    seq: torch.Tensor
    size: tuple[int, int]

    @property
    def feat(self) -> torch.Tensor:
        """The patch tokens as a feature map, ``(B, N, h, w)``."""
        h, w = self.size
        return self.seq[:, -h * w :].transpose(1, 2).unflatten(2, (h, w))

    def replace_feat(self, feat: torch.Tensor) -> 'Tokens':
        """Put another feature map, ``(B, N, h, w)``, in place of the patches."""
        extra = self.seq[:, : -self.size[0] * self.size[1]]
        seq = torch.cat([extra, feat.flatten(2).transpose(1, 2)], 1)
        return Tokens(seq, (feat.shape[2], feat.shape[3]))


#: What flows between two layers.
Flow = torch.Tensor | Tokens


def as_feat(flow: Flow) -> torch.Tensor:
    """Give what flows as a feature map, ``(B, N, h, w)``.

    Example:
        >>> as_feat(Tokens(torch.zeros(1, 7, 3), (2, 3))).shape
        torch.Size([1, 3, 2, 3])
    """
    return flow.feat if isinstance(flow, Tokens) else flow


class Chain(NamedTuple):
    """The layers that lead from a view to a backbone's output.

    Attributes:
        names: As in ``backbone.named_modules()``, in order.
        inner: The layers inside a layer, where they are a chain themselves.
        view: The tiny view on which the backbone was watched.
        output: What the backbone made of it, ``(1, N, h, w)``.
    """

    names: list[str]
    inner: dict[str, list[str]]
    view: torch.Tensor
    output: torch.Tensor

    def open(self, wanted: Sequence[str]) -> list[str]:
        """Open the layers in which a wanted one lies.

        Returns:
            The names of the layers, each wanted one apart.
        """

        def walk(names: Sequence[str]) -> Iterator[str]:
            for name in names:
                if name in self.inner and any(w.startswith(f'{name}.') for w in wanted):
                    yield from walk(self.inner[name])
                else:
                    yield name

        return list(walk(self.names))

    def list_names(self, backbone: nn.Module) -> list[str]:
        """List the names at which to cut: layers, and those in a Sequential."""

        def walk(names: Sequence[str]) -> Iterator[str]:
            for name in names:
                yield name
                if name in self.inner and isinstance(
                    backbone.get_submodule(name), nn.Sequential
                ):
                    yield from walk(self.inner[name])

        return list(walk(self.names))


def find_chain(backbone: nn.Module, end: str | None = None) -> Chain:
    """Find the layers that lead from a view to a backbone's output.

    Args:
        backbone: In eval mode.
        end: The layer before which the chain ends, instead of at the
            backbone's own output (the last, if it gives several).

    Raises:
        ValueError: If the backbone does not run, its output is no feature
            map, or there is no such chain.
    """
    view, output, watch = watch_once(backbone)
    table = _table(backbone)
    if table is not None and end is not None:
        raise ValueError(
            f'SplitNeck: end={end!r} cannot shorten {type(backbone).__name__}, whose '
            'layers pass tokens: '
            'set `model.backbone.out_indices` instead of `model.neck.end`.'
        )
    if end is None:
        target = output[-1] if isinstance(output, (tuple, list)) else output
    else:
        target = watch.input_of(end)
    _require_map(backbone, target)
    if table is not None:
        return Chain(list(table), {}, view, target)
    names, inner = watch.chain(target, view)
    return Chain(names, inner, view, target)


def _require_map(backbone: nn.Module, output: Any) -> None:
    """Check that a trunk ends in a feature map.

    Raises:
        ValueError: If it does not; says which option helps.
    """
    layout = getattr(getattr(backbone, 'timm_model', None), 'output_fmt', 'NCHW')
    if isinstance(output, torch.Tensor) and output.ndim == 4 and layout == 'NCHW':
        return
    got = f'a {type(output).__name__}'
    if isinstance(output, torch.Tensor):
        got = f'a tensor of the shape {tuple(output.shape)}'
    raise ValueError(
        f'{type(backbone).__name__} ends in {got}, not in a feature map '
        "(B, N, h, w): for transformers set `model.backbone.out_type='featmap'`, for "
        'ConvNeXt and its like `model.backbone.gap_before_final_norm=False`, or name '
        'in `model.neck.end` the first layer to leave out.'
    )


def span_of(chain: Sequence[str], name: str) -> tuple[int, int] | None:
    """Find which part of an opened chain a layer, or a group of them, is.

    Returns:
        Its first index and the one after its last; None if it is no part.

    Example:
        >>> span_of(['stem', 'layer1.0', 'layer1.1', 'norm'], 'layer1')
        (1, 3)
    """
    found = [i for i, x in enumerate(chain) if x == name or x.startswith(f'{name}.')]
    return (found[0], found[-1] + 1) if found else None


def get_layers(backbone: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Give the layers of a chain, as they are now.

    Layers that something replaced since (``SyncBatchNorm``, say) are seen.
    """
    table = _table(backbone)
    if table is None:
        return [backbone.get_submodule(name) for name in names]
    return [table[name] for name in names]


def _table(backbone: nn.Module) -> dict[str, nn.Module] | None:
    """Layers of a backbone that it or a table knows, by name, in order."""
    if hasattr(backbone, 'token_steps'):
        return backbone.token_steps()  # type: ignore[operator]
    for types, make in _TABLES:
        if isinstance(backbone, types):
            return make(backbone)
    return None


class _Embed(nn.Module):
    """From a view to tokens: patches, extra tokens, positions."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: torch.Tensor) -> Tokens:
        vit: Any = self.backbone
        x, size = vit.patch_embed(x)
        extra = [
            token.expand(x.shape[0], -1, -1)
            for token in (getattr(vit, n, None) for n in ('cls_token', 'dist_token'))
            if token is not None
        ]
        pos = getattr(vit, 'pos_embed', None)
        if pos is None:
            pos = getattr(vit, 'absolute_pos_embed', None)
        own = 0  # extra tokens that have a position of their own
        if pos is not None:
            own = pos.shape[1] - vit.patch_resolution[0] * vit.patch_resolution[1]
            pos = resize_pos_embed(
                pos, vit.patch_resolution, size, vit.interpolate_mode, own
            )
        if pos is not None and not own:
            x = x + pos
        x = torch.cat([*extra, x], 1)
        if pos is not None and own:
            x = x + pos
        if hasattr(vit, 'drop_after_pos'):
            x = vit.drop_after_pos(x)
        return Tokens(vit.pre_norm(x) if hasattr(vit, 'pre_norm') else x, size)


class _Layer(nn.Module):
    """A layer on the sequence; what else it takes comes from the backbone."""

    def __init__(self, layer: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.bias = getattr(backbone, 'rel_pos_bias', None)
        self.wants_bias = isinstance(backbone, backbones.BEiTViT)
        self.wants_size = isinstance(backbone, backbones.ViTEVA02)

    def forward(self, tokens: Tokens) -> Tokens:
        args: list[Any] = []
        if self.wants_bias:
            args = [None if self.bias is None else self.bias()]
        elif self.wants_size:
            args = [tokens.size]
        return Tokens(self.layer(tokens.seq, *args), tokens.size)


class _Stage(nn.Module):
    """A stage that changes the size of the sequence."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, tokens: Tokens) -> Tokens:
        return Tokens(*self.stage(*tokens))


class _Norm(nn.Module):
    """The last norm, and from tokens back to a feature map."""

    def __init__(self, norm: nn.Module | None) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, tokens: Tokens) -> torch.Tensor:
        seq = tokens.seq if self.norm is None else self.norm(tokens.seq)
        return Tokens(seq, tokens.size).feat


def vit_steps(vit: Any) -> dict[str, nn.Module]:
    """Give the layers of a stock vision transformer by name, in order."""
    steps: dict[str, nn.Module] = {'patch_embed': _Embed(vit)}
    last = max(vit.out_indices)
    for i, layer in enumerate(vit.layers[: last + 1]):
        steps[f'layers.{i}'] = _Layer(layer, vit)
    normed = vit.final_norm and last == len(vit.layers) - 1
    return {**steps, 'ln1': _Norm(vit.ln1 if normed else None)}


def _swin(swin: Any) -> dict[str, nn.Module]:
    steps: dict[str, nn.Module] = {'patch_embed': _Embed(swin)}
    last = max(swin.out_indices)
    for i, stage in enumerate(swin.stages[: last + 1]):
        steps[f'stages.{i}'] = _Stage(stage)
    return {**steps, f'norm{last}': _Norm(getattr(swin, f'norm{last}'))}


_TABLES: tuple[tuple[tuple[type, ...], Callable[[Any], dict[str, nn.Module]]], ...] = (
    ((backbones.VisionTransformer, backbones.BEiTViT), vit_steps),
    ((backbones.SwinTransformer, backbones.SwinTransformerV2, backbones.DaViT), _swin),
)
