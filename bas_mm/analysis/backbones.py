"""Which backbones can be cut: every one of mmpretrain, and some of timm."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mmengine.registry import init_default_scope
from mmpretrain.models import backbones
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from bas_mm.models import BASClassifier, CAMClassifier, SplitNeck, WSOLClassifier
from bas_mm.models.trunks import as_feat, find_chain, get_layers
from bas_mm.utils.tables import render_table

_MAP = dict(out_type='featmap')
_NO_GAP = dict(gap_before_final_norm=False)
#: What each class is built with: a small version that ends in a feature map.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    'BEiTViT': dict(arch='base', **_MAP),
    'CSPDarkNet': dict(depth=53),
    'CSPResNeXt': dict(depth=50),
    'CSPResNet': dict(depth=50),
    'Conformer': dict(arch='tiny'),
    'ConvMixer': dict(arch='768/32'),
    'ConvNeXt': dict(arch='atto', **_NO_GAP),
    'DaViT': dict(arch='tiny'),
    'DeiT3': dict(arch='small', **_MAP),
    'DenseNet': dict(arch='121'),
    'DistilledVisionTransformer': dict(arch='deit-tiny', **_MAP),
    'EdgeNeXt': dict(arch='xxsmall', **_NO_GAP),
    'EfficientFormer': dict(arch='l1', reshape_last_feat=True),
    'EfficientNet': dict(arch='b0'),
    'EfficientNetV2': dict(arch='b0'),
    'HRNet': dict(arch='w18'),
    'HiViT': dict(arch='tiny'),
    'HorNet': dict(arch='tiny', **_NO_GAP),
    'LeViT': dict(arch='128s'),
    'MViT': dict(arch='tiny'),
    'MixMIMTransformer': dict(arch='base'),
    'MlpMixer': dict(arch='b', patch_size=16),
    'MobileOne': dict(arch='s0'),
    'MobileViT': dict(arch='xx_small'),
    'PCPVT': dict(arch='small'),
    'PoolFormer': dict(arch='s12'),
    'PyramidVig': dict(arch='tiny'),
    'RIFormer': dict(arch='s12'),
    'RegNet': dict(arch='regnetx_400mf'),
    'RepLKNet': dict(arch='31B'),
    'RepMLPNet': dict(arch='B'),
    'RepVGG': dict(arch='A0'),
    'Res2Net': dict(depth=50),
    'ResNeSt': dict(depth=50),
    'ResNeXt': dict(depth=50),
    'ResNet': dict(depth=18),
    'ResNetV1c': dict(depth=18),
    'ResNetV1d': dict(depth=18),
    'ResNet_CIFAR': dict(depth=18),
    'RevVisionTransformer': dict(arch='deit-tiny', **_MAP),
    'SEResNeXt': dict(depth=50),
    'SEResNet': dict(depth=50),
    'SVT': dict(arch='small'),
    'SparseConvNeXt': dict(arch='atto'),
    'SparseResNet': dict(depth=50),
    'SwinTransformer': dict(arch='tiny'),
    'SwinTransformerV2': dict(arch='tiny', pad_small_map=True),
    'TinyViT': dict(arch='5m', **_NO_GAP),
    'VAN': dict(arch='tiny'),
    'VGG': dict(depth=11),
    'ViTEVA02': dict(arch='tiny', **_MAP),
    'ViTSAM': dict(arch='base', img_size=224),
    'Vig': dict(arch='tiny'),
    'VisionTransformer': dict(arch='deit-tiny', **_MAP),
    'XCiT': dict(patch_size=16, depth=4, embed_dims=64, num_heads=4, **_MAP),
}
#: A layer to leave out, where the backbone ends in a classifier.
ENDS = {'InceptionV3': 'avgpool'}
#: Of timm, through mmpretrain's ``TIMMBackbone``.
TIMM = (
    'resnet18',
    'resnetv2_50',
    'efficientnet_b0',
    'efficientnet_lite0',
    'mobilenetv2_100',
    'mobilenetv3_small_100',
    'mobilenetv4_conv_small',
    'convnext_atto',
    'regnety_002',
    'densenet121',
    'vit_tiny_patch16_224',
    'swin_tiny_patch4_window7_224',
)


class Row(NamedTuple):
    """What became of one backbone.

    Attributes:
        name: Its class, or ``timm: NAME``.
        settings: What it was built with.
        start: Where it was cut; empty if it cannot be.
        feats: Shapes of ``F`` and of the last features for one view.
        said: What speaks against it; empty if BAS and CAM train on it.
    """

    name: str
    settings: str
    start: str = ''
    feats: str = ''
    said: str = ''


def list_backbones() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the names and configs of all backbones that are tried."""
    for name in sorted(set(backbones.__all__) - {'TIMMBackbone'}):
        if name != 'CSPNet':  # the base class of three others
            yield name, dict(type=name, **SETTINGS.get(name, {}))
    for name in TIMM:
        yield f'timm: {name}', dict(type='TIMMBackbone', model_name=name)


def choose_start(backbone: nn.Module, end: str | None) -> str:
    """Choose where to cut: at the last place where maps get smaller.

    Args:
        backbone: The backbone, in eval mode.
        end: The layer to leave out, if any.

    Returns:
        The name of the layer that makes them smaller for the last time; of a
        trunk whose maps stay as they are, the one at two thirds.
    """
    with torch.no_grad():
        chain = find_chain(backbone, end)
        names = chain.open(chain.list_names(backbone))
        sizes = [chain.view.shape[2:]]
        flow: Any = chain.view
        for layer in get_layers(backbone, names):
            flow = layer(flow)
            sizes.append(as_feat(flow).shape[2:])
    smaller = [i for i in range(1, len(names)) if sizes[i + 1] != sizes[i]]
    return names[smaller[-1] if smaller else 2 * len(names) // 3]


def try_backbone(name: str, cfg: Mapping[str, Any]) -> Row:
    """Build a backbone, cut it, compare, and train BAS and CAM one step.

    ``SplitNeck`` compares ``f2(f1(x))`` with the backbone when it is bound;
    here it is done once more from outside.
    """
    init_default_scope('mmpretrain')
    settings = ', '.join(f'{k}={v!r}' for k, v in cfg.items() if k != 'type')
    row = Row(name, settings)
    try:
        backbone = MODELS.build(cfg)
        backbone.eval()  # not chained: some backbones give None
        end = ENDS.get(name)
        start = choose_start(backbone, end)
        neck = SplitNeck(start, end)
        neck.bind(backbone)
        with torch.no_grad():
            view = find_chain(backbone, end).view
            *_, feat, last = neck(view)
            two = as_feat(neck.f2(neck.f1(view)))
            if end is None:
                output = backbone(view)
                one = output[-1] if isinstance(output, (tuple, list)) else output
                if not torch.equal(one, two) or not torch.equal(one, last):
                    raise ValueError('f2(f1(x)) is not its output.')
        shapes = ' / '.join('x'.join(map(str, x.shape[1:])) for x in (feat, last))
        for head in ('bas_mm.BASHead', 'bas_mm.CAMHead'):
            train_step(cfg, head, start, end, view)
    except Exception as error:  # noqa: BLE001  whatever a foreign class raises
        return row._replace(said=f'{type(error).__name__}: {error}'.split('\n')[0])
    return row._replace(start=start, feats=shapes)


def train_step(
    cfg: Mapping[str, Any], head: str, start: str, end: str | None, view: torch.Tensor
) -> None:
    """Train a model on a backbone for one step.

    Raises:
        ValueError: If a loss, or the gradient of the first weight of the
            trunk or of the head, is not finite or all zero.
    """
    bas = head.endswith('BASHead')
    kind: type[WSOLClassifier] = BASClassifier if bas else CAMClassifier
    probe = SplitNeck(start, end)
    probe.bind(MODELS.build(cfg))
    feat, last = probe.feat_channels[-2:]
    model = kind(
        backbone=dict(cfg),
        neck=dict(type='bas_mm.SplitNeck', start=start, end=end),
        head=dict(
            type=head,
            num_classes=3,
            in_channels=last,
            num_convs=0,
            final_relu=False,
            **(dict(map_channels=feat) if bas else {}),
        ),
    )
    model.train()
    views = torch.cat([view, view.flip(3)])
    samples = [DataSample().set_gt_label(label) for label in (0, 2)]
    losses = model.loss(views, samples)
    total = torch.stack([v for k, v in losses.items() if 'loss' in k]).sum()
    total.backward()
    norms = [
        float(
            torch.stack(
                [p.grad.norm() for p in m.parameters() if p.grad is not None]
            ).sum()
        )
        for m in (model.backbone, model.head)
    ]
    if not total.isfinite() or not all(0 < norm < float('inf') for norm in norms):
        raise ValueError(f'{head} does not train: loss {total:.3g}, gradients {norms}.')


def backbone_table(rows: Iterable[Row]) -> str:
    """Lay the results out as markdown: what works, then what does not."""
    rows = list(rows)
    fine = [row for row in rows if not row.said]
    rest = [row for row in rows if row.said]
    parts = [
        f'{len(fine)} of {len(rows)} work.\n',
        render_table(
            ['backbone', 'built with', '`start`', 'F / last features'],
            [
                [
                    r.name,
                    f'`{r.settings}`' if r.settings else '',
                    f'`{r.start}`',
                    r.feats,
                ]
                for r in fine
            ],
            markdown=True,
        ),
        '',
        render_table(
            ['backbone', 'built with', 'what it says'],
            [[r.name, f'`{r.settings}`' if r.settings else '', r.said] for r in rest],
            markdown=True,
        ),
    ]
    return '\n'.join(parts)
