import math

import pytest
import torch

from bas_mm.models import I2CLoss
from bas_mm.models.losses.i2c_loss import seed_features
from bas_mm.structures import Acts
from tests.helpers.models import build_model, make_samples


class Model:
    """What `bind` reads of a model."""

    num_classes = 3

    class neck:
        feat_channels = (9, 4)


def i2c(**kwargs):
    kwargs = dict(local_weight=1.0, global_weight=1.0, random_seeds=False, **kwargs)
    loss = I2CLoss(**kwargs)
    loss.bind(Model)
    return loss.train()


def make_acts(seed, images=4):
    torch.manual_seed(seed)
    feat = torch.randn(images, 4, 3, 3, requires_grad=True)
    logit_map = torch.randn(images, 3, 3, 3, requires_grad=True)
    return Acts((feat, feat), torch.zeros(images, 3), logit_map)


def seeds_by_loops(acts, labels, threshold, count):
    """Features of the first places above the threshold, in raster order."""
    out = []
    for feat, maps, label in zip(acts.feats[-1], acts.logit_map, labels):
        one = maps[label].detach()
        one = (one - one.min()) / (one.max() - one.min())
        places = [i for i, v in enumerate(one.flatten()) if v > threshold]
        places = [places[k % len(places)] for k in range(count)]
        out.append([feat.flatten(1)[:, i] for i in places])
    return out


def distance(a, b):
    return ((a - b + 1e-6) ** 2).sum().sqrt()


def test_losses_and_centers_by_loops():
    loss, decay = i2c(seeds=3, seed_threshold=0.6, decay=0.5), 0.5
    centers, counts = {}, {0: 0, 1: 0, 2: 0}
    for step, labels in enumerate([[0, 0, 1, 1], [1, 1, 1, 1], [2, 2, 1, 1]]):
        acts = make_acts(step)
        seeds = seeds_by_loops(acts, labels, 0.6, 3)
        local, away, means = [], [], {}
        for i in (0, 2):
            pairs = list(zip(seeds[i], seeds[i + 1]))
            local.append(sum(distance(a, b) for a, b in pairs) / 3)
            mean = sum(seeds[i] + seeds[i + 1]) / 6
            means.setdefault(labels[i], []).append(mean)
            if labels[i] in centers:
                away.append(distance(mean, centers[labels[i]]))
        got = loss(acts, torch.tensor(labels), 0)
        torch.testing.assert_close(got['loss_local'], sum(local) / 2)
        expected = sum(away) / len(away) if away else torch.tensor(0.0)
        torch.testing.assert_close(got['loss_global'], expected)
        for label, found in means.items():
            rate = math.exp(-decay * counts[label])
            mean = (sum(found) / len(found)).detach()
            old = centers.get(label, torch.full((4,), 99.0))  # replaced at first
            centers[label] = (1 - rate) * old + rate * mean
            counts[label] += 1
            torch.testing.assert_close(loss.centers[label], centers[label])
        assert loss.counts.tolist() == list(counts.values())


def test_gradient_reaches_features_and_no_map_nor_center():
    loss, labels = i2c(), torch.tensor([0, 0, 1, 1])
    loss(make_acts(0), labels, 0)
    acts = make_acts(1)
    sum(loss(acts, labels, 0).values()).backward()
    assert acts.feats[-1].grad.any()
    assert acts.logit_map.grad is None
    assert not loss.centers.requires_grad


def test_equal_images_are_at_distance_nothing():
    loss = i2c()
    feat, maps = torch.randn(1, 4, 3, 3), torch.randn(1, 3, 3, 3)
    acts = Acts(
        (feat.expand(2, -1, -1, -1),), torch.zeros(2, 3), maps.expand(2, -1, -1, -1)
    )
    assert loss(acts, torch.tensor([1, 1]), 0)['loss_local'] < 1e-5


def test_a_map_without_contrast_has_no_seeds():
    loss = i2c()
    acts = make_acts(0)
    flat = acts.logit_map.detach().clone()
    flat[1] = 2.0  # the second of the first pair
    acts = Acts(acts.feats, acts.logits, flat)
    labels = torch.tensor([0, 0, 1, 1])
    found = loss(acts, labels, 0)
    half = Acts((acts.feats[-1][2:],), acts.logits[2:], flat[2:])
    torch.testing.assert_close(
        found['loss_local'], i2c()(half, labels[2:], 0)['loss_local']
    )
    assert loss.counts.tolist() == [0, 1, 0]
    nothing = Acts(acts.feats, acts.logits, torch.zeros_like(flat))
    assert all(x == 0 for x in loss(nothing, labels, 0).values())


def test_drawn_seeds_are_above_the_threshold_and_differ():
    torch.manual_seed(0)
    label_map = torch.zeros(2, 4, 4)
    label_map[0, 1:3] = 1.0  # eight places
    label_map[1, 0, 0] = 1.0  # one place
    feat = torch.arange(16.0).view(1, 1, 4, 4).expand(2, -1, -1, -1)
    drawn = set()
    for _ in range(20):
        seeds, found = seed_features(feat, label_map, 0.7, 3)
        assert found.all() and seeds.shape == (2, 3, 1)
        places = seeds[0].flatten().tolist()
        assert len(set(places)) == 3 and all(4 <= x < 12 for x in places)
        assert seeds[1].flatten().tolist() == [0, 0, 0]
        drawn.add(tuple(places))
    assert len(drawn) > 1
    # more than there are places at all
    assert seed_features(feat, label_map, 0.7, 20)[0].shape == (2, 20, 1)


def test_nothing_before_the_first_epoch_and_no_update_in_eval():
    loss = i2c(start_epoch=2)
    labels = torch.tensor([0, 0, 1, 1])
    assert loss(make_acts(0), labels, 1) == {}
    assert set(loss(make_acts(0), labels, 2)) == {'loss_local', 'loss_global'}
    before = loss.counts.clone()
    loss.eval()(make_acts(0), labels, 2)
    assert torch.equal(loss.counts, before)


def test_what_is_not_of_pairs_is_refused():
    acts = make_acts(0)
    with pytest.raises(ValueError, match=r'pairs.*labels \[0, 1, 1, 0\].*PairedClass'):
        i2c()(acts, torch.tensor([0, 1, 1, 0]), 0)
    with pytest.raises(ValueError, match='the batch has 3.*even.*batch_size'):
        i2c()(acts, torch.tensor([0, 0, 1]), 0)
    with pytest.raises(ValueError, match='one label for each.*batch_augments'):
        i2c()(acts, torch.zeros(4, 3), 0)
    with pytest.raises(ValueError, match='logit maps.*aux_losses'):
        i2c()(Acts(acts.feats, acts.logits), torch.tensor([0, 0, 1, 1]), 0)


def test_in_a_model(tmp_path):
    options = dict(
        final_relu=False, model=dict(aux_losses=[dict(type='bas_mm.I2CLoss')])
    )
    model = build_model('CAM', 'tiny', **options)
    assert model.aux_losses[0].centers.shape == (5, 32)
    inputs, samples = torch.randn(4, 3, 64, 64), make_samples(2, 2, 0, 0)
    losses = model.train().loss(inputs, samples)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in model.parameters())
    # the centers go with the checkpoint
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    again = build_model('CAM', 'tiny', **options)
    again.load_state_dict(torch.load(tmp_path / 'a.pth'))
    assert torch.equal(again.aux_losses[0].counts, torch.tensor([1.0, 0, 1, 0, 0]))
