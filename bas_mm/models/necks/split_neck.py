"""The backbone-split neck."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS as STOCK_MODELS
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from bas_mm.models.trunks import (
    Chain,
    Flow,
    Tokens,
    as_feat,
    find_chain,
    get_layers,
    span_of,
)
from bas_mm.registry import MODELS


class Pass(NamedTuple):
    """What one pass through the trunk gives.

    Attributes:
        feats: Feature maps, ``(B, N, h, w)``: each tap, then ``F``, then the
            trunk's last. Before them what :class:`bas_mm.models.TokenNeck`
            reads beside.
        flows: The feature maps as they flow on: with the class token, for
            instance.
    """

    feats: tuple[torch.Tensor, ...]
    flows: tuple[Flow, ...]

    def detach(self) -> 'Pass':
        """Give the same without gradient."""
        flows = tuple(
            Tokens(flow.seq.detach(), flow.size)
            if isinstance(flow, Tokens)
            else flow.detach()
            for flow in self.flows
        )
        return Pass(tuple(feat.detach() for feat in self.feats), flows)


class _Plan(NamedTuple):
    """What the neck runs; numbers count layers of the trunk."""

    names: list[str]  # the layers
    at: tuple[int, ...]  # how many stand before each tap, before f2, at the end
    inserts: list[tuple[int, str]]  # behind how many of them which insert stands
    fragile: set[int]  # those that change in place what is handed out
    channels: tuple[int, ...]  # of what is handed out


class _Insert(nn.Module):
    """A module that was put into the trunk; tokens pass it as a feature map."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, flow: Flow) -> Flow:
        if isinstance(flow, Tokens):
            return flow.replace_feat(self.module(flow.feat))
        return self.module(flow)


@MODELS.register_module()
class SplitNeck(BaseModule):
    """Cuts one stock backbone in two: ``f2(f1(x))`` is the backbone itself.

    BAS reads its generator from the features ``F`` between ``f1`` (the
    extractor) and ``f2`` (the rest of the trunk), see Sec. 3.1 of the `paper
    <https://arxiv.org/abs/2112.00580>`_. The neck owns no layer of the trunk:
    both halves are views of the backbone's layers. The keys of the state dict
    stay ``backbone.*``, so any mmpretrain or torchvision checkpoint loads, and
    layers that something replaced later (``SyncBatchNorm``, say) are seen.

    When it is bound, the neck watches the backbone run once on a tiny view and
    checks that its layers, one after the other, give exactly the backbone's
    own output; a backbone that does otherwise is refused. A dotted name cuts
    inside a :class:`torch.nn.Sequential`. Where ``out_indices`` end before the
    last layer, so does the trunk.

    Args:
        start: Name of the first layer of ``f2``, as in
            ``backbone.named_modules()``: ``'layer4'``, ``'features.13'``.
            None: ``f1`` is the whole trunk, ``f2`` the identity.
        end: Name of the first layer that belongs to neither half (a
            classifier to leave out).
        pool: Kernel and stride of a max-pool that stands before ``start`` and
            belongs to ``f2``.
        taps: Names of layers whose output is handed out as well.
        inserts: From the name of a layer to the module (or its config) that
            is put behind it. They take and give feature maps of one shape; in
            the state dict they are ``neck.inserts.*``, with ``_`` for the dots
            of the name.
    """

    def __init__(
        self,
        start: str | None = None,
        end: str | None = None,
        pool: int | None = None,
        taps: Sequence[str] = (),
        inserts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(taps, str):
            raise ValueError(
                f'SplitNeck: `taps` must be a list of names, got {taps!r} '
                f'(`model.neck.taps=[{taps!r}]`).'
            )
        if pool is not None and start is None:
            raise ValueError(
                f'SplitNeck: pool={pool} stands before `start`, and there is none. Set '
                '`model.neck.start`.'
            )
        keys = [_key(name) for name in inserts or ()]
        if len(set(keys)) < len(keys):
            raise ValueError(
                f'SplitNeck: of the names {list(inserts or ())} of `inserts` two are '
                'the same with _ for dots, as the state dict has them.'
            )
        self.start = start
        self.end = end
        self.pool = pool
        self.taps = tuple(taps)
        self.insert_names = tuple(inserts or ())
        self.inserts = nn.ModuleDict(
            {
                _key(name): module
                if isinstance(module, nn.Module)
                else STOCK_MODELS.build(module)
                for name, module in (inserts or {}).items()
            }
        )
        self._backbone: tuple[nn.Module, ...] = ()  # a tuple: not registered
        self._plan: _Plan | None = None

    def bind(self, backbone: nn.Module) -> None:
        """Point the neck at the backbone that it cuts, and check the cut.

        Weights, statistics, modes and the state of random generators stay as
        they are. A backbone without values (on the meta device) is checked
        when it first runs.

        Args:
            backbone: The trunk; it stays registered where it is.

        Raises:
            ValueError: If the backbone is no chain of layers, or a name is no
                layer at which it can be cut, or they stand in the wrong order.
        """
        self._backbone = (backbone,)
        self._plan = None
        if not any(p.is_meta for p in backbone.parameters()):
            self._plan = self._make_plan()

    @property
    def backbone(self) -> nn.Module:
        """The backbone that the neck cuts."""
        if not self._backbone:
            raise RuntimeError(
                'SplitNeck has no backbone yet: build it inside a model '
                "(`neck=dict(type='bas_mm.SplitNeck', ...)`) or call "
                '`neck.bind(backbone)` first.'
            )
        return self._backbone[0]

    @property
    def feat_channels(self) -> tuple[int, ...]:
        """Channels of what :meth:`forward` gives, in its order."""
        return self.plan.channels

    @property
    def f1(self) -> nn.Sequential:
        """View of the extractor, view to ``F``."""
        return nn.Sequential(*self.steps()[: self.marks[-2]])

    @property
    def f2(self) -> nn.Sequential:
        """View of the rest of the trunk, ``F`` to the last features."""
        return nn.Sequential(*self.steps()[self.marks[-2] :])

    @property
    def plan(self) -> _Plan:
        """What to run, found by :meth:`bind`."""
        if self._plan is None:
            self._plan = self._make_plan()
        return self._plan

    @property
    def marks(self) -> tuple[int, ...]:
        """How many steps stand before each tap, before ``f2``, and at the end."""
        return tuple(map(self._step, self.plan.at))

    def _step(self, layers: int) -> int:
        """Index of the step behind so many layers and their inserts."""
        pooled = self.pool is not None and layers > self.plan.at[-2]
        return layers + sum(i <= layers for i, _ in self.plan.inserts) + pooled

    def steps(self) -> list[nn.Module]:
        """Give what runs, in order: layers, pool and inserts, as they are now."""
        plan = self.plan
        steps: list[nn.Module] = []
        for i, layer in enumerate(get_layers(self.backbone, plan.names)):
            if i == plan.at[-2] and self.pool is not None:
                steps.append(_Insert(nn.MaxPool2d(self.pool)))
            steps.append(layer)
            steps += [_Insert(self.inserts[k]) for at, k in plan.inserts if at == i + 1]
        return steps

    def stage_index(self, stage: int) -> int:
        """Tell at which step a stage begins.

        Args:
            stage: 0 is the view, 1 and up the taps, then ``F``; negative
                numbers count back from ``F``, which is -1.

        Raises:
            ValueError: If there is no such stage.
        """
        begins = [0, *self.marks[:-1]]
        if not -len(begins) <= stage < len(begins):
            raise ValueError(
                f'stage={stage} is none of the trunk: 0 is the view, 1 to '
                f'{len(begins) - 1} are the taps and then F, which is -1 as well.'
            )
        return begins[stage]

    def run(self, x: torch.Tensor, stage: int = 0, first: Pass | None = None) -> Pass:
        """Run the trunk from one of its stages.

        Args:
            x: Features at the stage, ``(B, N, h, w)``; the views for stage 0.
            stage: See :meth:`stage_index`.
            first: The pass that gave the features, needed for stages other
                than 0. What lies before the stage, and what flows beside the
                features, is taken from it.

        Returns:
            Features and flows of the pass.
        """
        steps, marks = self.steps(), self.marks
        fragile = {self._step(i) for i in self.plan.fragile}
        begin = self.stage_index(stage)
        stage %= len(marks)
        flow: Flow = x
        if first is not None and stage:
            beside = first.flows[stage - 1]
            if isinstance(beside, Tokens):
                flow = beside.replace_feat(x)
        found: dict[int, Flow] = {}
        for i in range(begin, len(steps) + 1):
            if i in marks:
                found[i] = flow
            if i == len(steps):
                break
            flow = steps[i](_copy(flow) if i in fragile else flow)
        flows = tuple(
            found[mark] if first is None or mark in found else first.flows[i]
            for i, mark in enumerate(marks)
        )
        return Pass(tuple(map(as_feat, flows)), flows)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the cut trunk.

        Args:
            inputs: Views, ``(B, 3, H, W)``.

        Returns:
            Each tap, then ``F``, ``(B, N, h, w)``, then the features that the
            classification head reads.
        """
        return self.run(inputs).feats

    def _make_plan(self) -> _Plan:
        fields = [('taps', name) for name in self.taps]
        fields += [('inserts', name) for name in self.insert_names]
        if self.start is not None:
            fields.append(('start', self.start))
        with _undisturbed(self.backbone):
            chain = find_chain(self.backbone, self.end)
            wanted = [self._full_name(field, name, chain) for field, name in fields]
            names = chain.open(wanted)
            spans = [span_of(names, name) or (0, 0) for name in wanted]
            cut = spans.pop()[0] if self.start is not None else len(names)
            behind = [span[1] for span in spans]
            at = (*behind[: len(self.taps)], cut, len(names))
            fragile, channels = self._rehearse(chain, names, at)
        inserts = list(zip(behind[len(self.taps) :], map(_key, self.insert_names)))
        return _Plan(names, at, inserts, fragile, tuple(channels[i] for i in at))

    def _full_name(self, field: str, name: str, chain: Chain) -> str:
        """Look a layer up; its name inside a timm model is enough."""
        for full in (name, f'timm_model.{name}'):
            if span_of(chain.open([full]), full):
                return full
        trunk, known = type(self.backbone).__name__, chain.list_names(self.backbone)
        if self.end is not None and name in dict(self.backbone.named_modules()):
            raise ValueError(
                f'SplitNeck: end={self.end!r} must come after {field}={name!r}. The '
                f'layers of {trunk} up to there: {", ".join(known)}'
            )
        raise ValueError(
            f'SplitNeck: {field}={name!r} is not a layer of {trunk} at which it can '
            f'be cut. Set `model.neck.{field}` to one of: {", ".join(known)}'
        )

    def _rehearse(
        self, chain: Chain, names: list[str], at: Sequence[int]
    ) -> tuple[set[int], list[int]]:
        """Run the bare layers and compare with the backbone's own output.

        Returns:
            Which layers change in place what is handed out, and the channels before
            each layer and behind the last.
        """
        flow: Flow = chain.view
        fragile, channels = set(), [chain.view.shape[1]]
        out: list[torch.Tensor] = []  # what is handed out so far
        for i, layer in enumerate(get_layers(self.backbone, names)):
            given = flow.seq if isinstance(flow, Tokens) else flow
            if i in at:
                out.append(given)
            versions = [one._version for one in out]
            flow = layer(flow)
            # a dropout does nothing in eval mode, but will in training
            drops = isinstance(layer, _DropoutNd) and layer.inplace
            if (drops and any(one is given for one in out)) or versions != [
                one._version for one in out
            ]:
                fragile.add(i)
            channels.append(as_feat(flow).shape[1])
        feat, output = as_feat(flow), chain.output
        if feat.shape != output.shape or not (
            torch.equal(feat, output)
            if feat.device.type == 'cpu'
            else torch.allclose(feat, output, rtol=1e-4, atol=1e-5)
        ):
            raise ValueError(
                f'{type(self.backbone).__name__} cannot be cut: its layers, one after '
                f'the other ({", ".join(names)}), do not give its own output.'
            )
        return fragile, channels


def _key(name: str) -> str:
    """Name of an insert's module, which must have no dot."""
    return name.replace('.', '_')


def _copy(flow: Flow) -> Flow:
    if isinstance(flow, Tokens):
        return Tokens(flow.seq.clone(), flow.size)
    return flow.clone()


@contextmanager
def _undisturbed(backbone: nn.Module) -> Iterator[None]:
    """Eval mode, no gradient; modes and random state as before afterwards."""
    training = backbone.training
    modes = [(m, m.training) for m in backbone.modules()]
    devices = {p.device for p in backbone.parameters() if p.device.type == 'cuda'}
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.random.fork_rng(devices=devices),
    ):
        try:
            backbone.eval()
            yield
        finally:
            backbone.train(training)  # some keep more than the mode in step
            for module, mode in modes:
                module.training = mode
