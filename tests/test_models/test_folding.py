"""BatchNorm inside the convolutions gives what it gave behind them."""

import pytest
import torch
from torch import nn

from bas_mm.models import folding
from bas_mm.models.folding import fold_norms
from tests.helpers.models import PAPER_TRUNKS, build_model

#: BatchNorms of each trunk.
NORMS = {
    'vgg16': 0,
    'resnet50': 53,
    'mobilenet-v1': 27,
    'inception-v3': 94,
    'efficientnet-lite0': 49,
}


def with_statistics(model):
    """A model in eval mode whose BatchNorms have statistics and weights of their own.

    Those of a view keep the features of a deep trunk in range.
    """
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    model.train()
    with torch.no_grad():
        model.backbone(torch.randn(4, 3, 96, 96))
    return model.eval()


def norms_of(model):
    return sum(isinstance(m, nn.BatchNorm2d) for m in model.backbone.modules())


def give(model, views):
    """Every feature map, the logits and the maps of two classes."""
    with torch.no_grad():
        feats = model.extract_feat(views)
        acts = model.head(feats)
        maps = model.each_map(acts, views, [0, 3])
    return *feats, acts.logits, maps


@pytest.mark.parametrize('trunk', PAPER_TRUNKS)
def test_a_folded_trunk_is_the_plain_one(trunk):
    model = with_statistics(build_model(trunk=trunk))
    views = torch.randn(2, 3, 96, 80)
    assert norms_of(model) == NORMS[trunk]
    expected = give(model, views)
    assert fold_norms(model) == NORMS[trunk]
    assert norms_of(model) == 0
    for one, other in zip(give(model, views), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * other.abs().max())


@pytest.mark.parametrize(
    'neck, kept',
    [
        (dict(start='layer2'), 0),
        (dict(start='bn1'), 1),
        (dict(start='layer4', taps=['conv1']), 1),
        (dict(start='layer4', taps=['bn1']), 0),
        (dict(start='layer4', inserts={'conv1': nn.Tanh()}), 1),
        (dict(start='layer4', inserts={'bn1': nn.Tanh()}), 0),
    ],
)
def test_what_is_handed_out_between_the_two_stays(neck, kept):
    neck = dict(neck, inserts=neck.get('inserts'))
    model = with_statistics(build_model('CAM', 'tiny', neck=neck))
    views = torch.randn(2, 3, 64, 64)
    count, expected = norms_of(model), model.extract_feat(views)
    assert fold_norms(model) == count - kept
    assert norms_of(model) == kept
    for one, other in zip(model.extract_feat(views), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_what_is_hooked_stays():
    model = with_statistics(build_model('CAM', 'tiny'))
    seen, count = [], norms_of(model)
    model.backbone.conv1.register_forward_hook(lambda *args: seen.append(args[2]))
    expected = model.backbone.conv1(torch.ones(1, 3, 64, 64))
    assert fold_norms(model) == count - 1
    model.backbone.conv1(torch.ones(1, 3, 64, 64))
    torch.testing.assert_close(seen[-1], expected)


class Trunk(nn.Module):
    """Pairs that only look as if they could be folded."""

    class Standardized(nn.Conv2d):
        """Changes its weights as it runs."""

        def forward(self, x):
            return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)

    class Activated(nn.BatchNorm2d):
        """Does more than a BatchNorm."""

        def forward(self, x):
            return super().forward(x).relu()

    def __init__(self):
        super().__init__()
        self.wrong = nn.Conv2d(3, 4, 1)  # stands before `first`, runs behind it
        self.first = nn.BatchNorm2d(3)
        self.standard, self.norm1 = self.Standardized(4, 4, 3), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3), self.Activated(4)
        self.twice, self.norm3 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.batch, self.norm4 = (
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4, track_running_stats=False),
        )
        self.read, self.norm5, self.pool = (
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4),
            nn.AvgPool2d(1),
        )
        self.good, self.norm6 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.wrong(self.first(x))
        x = self.norm2(self.conv2(self.norm1(self.standard(x))))
        x = self.norm4(self.batch(self.norm3(self.twice(self.twice(x)))))
        x = self.read(x)
        x = self.norm5(x) + self.pool(x)
        return self.norm6(self.good(x))


def test_only_the_pairs_that_are_pairs():
    trunk = Trunk().eval()
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    views = torch.randn(2, 3, 32, 32)
    expected = trunk(views)
    assert fold_norms(trunk) == 1
    assert isinstance(trunk.norm6, nn.Identity)
    torch.testing.assert_close(trunk(views), expected)


def test_both_networks_are_folded():
    pair = nn.Module()
    pair.localizer = with_statistics(build_model('CAM', 'tiny'))
    pair.classifier = with_statistics(build_model('CAM', 'tiny', num_classes=3))
    count = norms_of(pair.localizer) + norms_of(pair.classifier)
    assert fold_norms(pair) == count > 0


def test_other_features_are_an_error(monkeypatch):
    model = with_statistics(build_model('CAM', 'tiny'))
    fuse = folding._fuse

    def wrong(*args):
        fused = fuse(*args)
        fused.weight.data *= 1.5
        return fused

    monkeypatch.setattr(folding, '_fuse', wrong)
    with pytest.raises(ValueError, match='leave out `fast`'):
        fold_norms(model)
