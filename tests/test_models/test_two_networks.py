import pytest
import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from torch import nn

from bas_mm.models import CAMHead, TwoNetworks
from tests.helpers.models import TRUNKS, build_model, make_samples


def stock_classifier(num_classes=5):
    torch.manual_seed(1)
    return ImageClassifier(
        backbone=dict(TRUNKS['tiny'][0]),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=32),
        data_preprocessor=dict(mean=[9.0] * 3, std=[2.0] * 3, to_rgb=False),
    )


def localizer(**kwargs):
    preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0] * 3, to_rgb=True)
    return build_model(
        'BAS', 'tiny', model=dict(data_preprocessor=preprocessor), **kwargs
    )


def test_maps_of_one_network_and_classes_of_another():
    first, second = localizer(map_label='pred'), stock_classifier()
    model = TwoNetworks(first, second).eval()
    raw = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    crops = torch.randint(0, 255, (2, 3, 3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=list(raw), crops=list(crops), data_samples=make_samples(0, 1))
    with torch.no_grad():
        out = model.test_step(data)

        def scores(images):
            views = second.data_preprocessor(dict(inputs=images))['inputs']
            return second(views).softmax(1)

        every = torch.stack([scores(raw), *(scores(c) for c in crops.unbind(1))])
        expected = every.mean(0)
        views = first.data_preprocessor(dict(inputs=raw))['inputs']
        for i, sample in enumerate(out):
            torch.testing.assert_close(sample.pred_score, expected[i])
            label = int(expected[i].argmax())
            assert sample.pred_label.tolist() == [label]
            # the predicted class is the classifier's, and so is the map's
            maps = first.class_maps(views, [label])
            torch.testing.assert_close(sample.pred_map, maps[i, 0])
        maps = model.class_maps(raw.float(), [0, 3])
        torch.testing.assert_close(maps, first.class_maps(views, [0, 3]))
    assert model(raw.float()).shape == (2, 5)


def test_a_localizer_that_knows_no_classes():
    model = TwoNetworks(localizer(num_classes=1), stock_classifier()).eval()
    assert model.num_classes == 5 and model.head.num_classes == 1
    x = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        maps = model.class_maps(x, [0, 4])
        assert torch.equal(maps[:, 0], maps[:, 1])
        out = model.predict(x, make_samples(4, 2))
    assert torch.equal(out[0].pred_map, maps[0, 0])


def test_from_configs_with_pretrained_parts(tmp_path):
    """As a config names them; nothing of one network is in the other."""
    first, second = localizer(num_convs=0), stock_classifier()
    with torch.no_grad():
        second.head.fc.bias.fill_(3.0)
    torch.save(first.state_dict(), tmp_path / 'first.pth')
    torch.save(second.state_dict(), tmp_path / 'second.pth')
    cfg = dict(
        type='bas_mm.TwoNetworks',
        localizer=dict(
            type='bas_mm.BASClassifier',
            backbone=dict(TRUNKS['tiny'][0]),
            neck=dict(type='bas_mm.SplitNeck', start='layer4'),
            head=dict(
                type='bas_mm.BASHead',
                num_classes=5,
                in_channels=32,
                map_channels=16,
                num_convs=0,
            ),
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'first.pth')),
        ),
        classifier=dict(
            type='ImageClassifier',
            backbone=dict(TRUNKS['tiny'][0]),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=32),
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'second.pth')),
        ),
    )
    model = MODELS.build(cfg)
    model.init_weights()
    assert model.classifier.head.fc.bias.tolist() == [3.0] * 5
    for key, value in first.state_dict().items():
        assert torch.equal(model.state_dict()[f'localizer.{key}'], value), key
    keys = {key.split('.')[0] for key in model.state_dict()}
    assert keys == {'localizer', 'classifier'}
    cfg['classifier']['init_cfg']['checkpoint'] = str(tmp_path / 'none.pth')
    torch.save({'net.x': torch.zeros(1)}, tmp_path / 'none.pth')
    with pytest.raises(ValueError, match=r'of ResNet .*model\.classifier\.backbone'):
        MODELS.build(cfg).init_weights()


def test_a_refiner_of_the_localizer_sees_its_views():
    class Keeps(nn.Module):
        def refine(self, maps, acts, inputs, classes):
            self.given = inputs
            return maps

    first = localizer()
    first.refiner = Keeps()
    model = TwoNetworks(first, stock_classifier()).eval()
    x = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        model.predict(x, make_samples(1))
    views = first.data_preprocessor(dict(inputs=x))['inputs']
    torch.testing.assert_close(first.refiner.given, views)
    assert not torch.equal(views, x)


def test_a_classifier_of_timm():
    cfg = dict(type='TimmClassifier', model_name='resnet18', num_classes=5)
    model = TwoNetworks(localizer(), cfg).eval()
    assert model.num_classes == 5
    with torch.no_grad():
        (sample,) = model.predict(torch.rand(1, 3, 64, 64) * 255, make_samples(1))
    assert sample.pred_score.shape == (5,)


def test_wrong_uses():
    with pytest.raises(ValueError, match='knows 5 classes and the localizer 3'):
        TwoNetworks(localizer(num_classes=3), stock_classifier())
    model = TwoNetworks(localizer(), stock_classifier())
    with pytest.raises(ValueError, match=r'train each by a config.*model\.learn='):
        model(torch.zeros(1, 3, 64, 64), make_samples(0), mode='loss')
    with pytest.raises(ValueError, match=r"`model\.learn` names \['both'\]"):
        TwoNetworks(localizer(), stock_classifier(), learn='both')


def test_both_learn_each_by_its_own_loss():
    first, second = localizer(), localizer(num_classes=5)
    model = TwoNetworks(first, second, learn=('localizer', 'classifier'))
    model.train()
    x, samples = 255 * torch.rand(2, 3, 64, 64), make_samples(0, 1)
    losses = model(x, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    for name in ('localizer', 'classifier'):
        part = getattr(model, name)
        part.zero_grad()
        views = part.data_preprocessor(dict(inputs=x))['inputs']
        alone = part.loss(views, samples)
        prefix = 'loc_' if name == 'localizer' else ''
        sum(v for k, v in alone.items() if 'loss' in k).backward()
        for key, value in alone.items():
            torch.testing.assert_close(losses[prefix + key], value)
        for key, param in part.named_parameters():
            torch.testing.assert_close(grads[f'{name}.{key}'], param.grad)


def test_what_does_not_learn_stays_as_it_is():
    class Asks(CAMHead):
        def loss(self, acts, target, rerun):
            mask = acts.logit_map[:, :1].sigmoid()
            self.mask = nn.functional.interpolate(mask, rerun.inputs.shape[2:])
            self.mask.retain_grad()
            return dict(loss_seen=rerun.judge(self.mask).square().sum())

    torch.manual_seed(0)
    first = localizer()
    first.head = Asks(num_classes=5, in_channels=32, mid_channels=8)
    second = stock_classifier()
    model = TwoNetworks(first, second, learn='localizer')
    before = {k: v.clone() for k, v in second.state_dict().items()}
    model.train()
    assert first.training and not any(m.training for m in second.modules())
    x = 255 * torch.rand(2, 3, 64, 64)
    losses = model(x, make_samples(0, 1), mode='loss')
    assert set(losses) == {'loss_seen', 'peak_logit'}
    losses['loss_seen'].backward()
    assert all(p.grad is None for p in second.parameters())
    assert first.head.mask.grad.abs().sum() > 0
    for key, value in second.state_dict().items():
        assert torch.equal(value, before[key]), key
    # the classifier saw the views as it normalizes them, times the mask
    views = second.data_preprocessor(dict(inputs=x))['inputs']
    seen = second(views * first.head.mask.detach()).square().sum()
    torch.testing.assert_close(seen, losses['loss_seen'])
    with pytest.raises(ValueError, match=r"Asks learns from .*.*bas_mm.TwoNetworks"):
        first.loss(x, make_samples(0, 1))


def test_a_part_that_does_not_learn_needs_weights(tmp_path):
    model = TwoNetworks(localizer(), stock_classifier(), learn='localizer')
    option = r'--cfg-options model\.classifier\.init_cfg\.checkpoint=FILE'
    with pytest.raises(ValueError, match=f'has no weights: give .*{option}'):
        model.init_weights()
    lost = str(tmp_path / 'no.pth')
    model.classifier.init_cfg = dict(type='Pretrained', checkpoint=lost)
    with pytest.raises(FileNotFoundError, match=rf'no\.pth\. Train it .*{option}'):
        model.init_weights()
