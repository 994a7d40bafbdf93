import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bas_mm.models import SCGRefiner, scg
from bas_mm.structures import Acts
from tests.helpers.models import build_model, make_samples

OPTIONS = dict(
    first_threshold=0.1,
    second_threshold=0.5,
    second_weight=2.0,
    order=2,
    fg_threshold=0.3,
    bg_threshold=0.1,
)


def minmax(x):
    spread = x.max() - x.min()
    return (x - x.min()) / spread if spread > 0 else np.zeros_like(x)


def correlation(feat, first_threshold, second_threshold, second_weight, order):
    """K of one image, entry by entry."""
    x = feat.reshape(len(feat), -1)
    n = x.shape[1]
    sim = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            norm = np.linalg.norm(x[:, i]) * np.linalg.norm(x[:, j])
            cosine = max(x[:, i] @ x[:, j] / norm, 0)
            sim[i, j] = cosine if cosine >= first_threshold else 0
    first, step = np.zeros((n, n)), np.zeros((n, n))
    for j in range(n):
        others = sum(sim[i, j] for i in range(n) if i != j)
        for i in range(n):
            first[i, j] = sim[i, j] / sim[:, j].sum()
            if i != j:
                step[i, j] = sim[i, j] / (others + 1e-5)
    second = step
    for _ in range(order - 1):
        second = second.dot(step)
        second = second / (second.sum(0) + 1e-10)
    second = np.where(second < second_threshold / n, 0, second)
    joint = np.where(first > second_weight * second, first, second_weight * second)
    return joint / joint.sum(0)


def reference(feats, cam, fg_threshold, bg_threshold, **options):
    """One image."""
    joint = sum(correlation(feat, **options) for feat in feats)
    seeds = cam.flatten()

    def votes(chosen):
        total = np.zeros(len(seeds))
        for j in np.flatnonzero(chosen):
            total += minmax(joint[:, j])
        return minmax(total)

    positive = votes(seeds >= fg_threshold)
    negative = votes(seeds <= bg_threshold)
    return minmax(np.maximum(positive - negative, 0)).reshape(cam.shape)


@pytest.mark.parametrize('order', [1, 2, 3])
@pytest.mark.parametrize('second_threshold', [0.5, 1.2])
def test_entry_by_entry(order, second_threshold):
    rng = np.random.default_rng(0)
    feats = [rng.normal(size=(2, n, 3, 4)) + 0.4 for n in (5, 8)]
    cam = np.stack([minmax(rng.random((3, 4))) for _ in range(2)])
    options = dict(OPTIONS, order=order, second_threshold=second_threshold)
    ours = scg(
        [torch.from_numpy(feat) for feat in feats], torch.from_numpy(cam), **options
    )
    assert ours.shape == (2, 3, 4) and ours.dtype == torch.float32
    for b in range(2):
        expected = reference([feat[b] for feat in feats], cam[b], **options)
        np.testing.assert_allclose(ours[b].numpy(), expected, atol=2e-3)


def test_seeds_reach_what_is_like_them():
    """Two kinds of places; one seed finds all of its kind, and no other.

    Of three places that are alike, walks of two steps come back to their start
    with 1/2 and end at each other with 1/4; the weight of 2 beats the first
    order's 1/3.
    """
    kind = torch.tensor([[1, 1, 0], [1, 0, 0]]).float()
    feat = torch.stack([kind, 1 - kind])[None]
    cam = torch.tensor([[[1.0, 0.2, 0.0], [0.2, 0.2, 0.0]]])
    refined = scg([feat], cam, **OPTIONS)
    expected = torch.tensor([[1.0, 0.5, 0.0], [0.5, 0.0, 0.0]])
    torch.testing.assert_close(refined[0], expected, atol=1e-3, rtol=0)


def test_no_seed_of_the_object_gives_zeros():
    feat = torch.rand(1, 3, 4, 4)
    assert not scg([feat], torch.zeros(1, 4, 4), **OPTIONS).any()
    assert not scg([torch.zeros(1, 3, 4, 4)], torch.rand(1, 4, 4), **OPTIONS).any()


def test_no_seed_of_the_background():
    refined = scg([torch.rand(2, 3, 4, 4)], 0.2 + torch.rand(2, 4, 4), **OPTIONS)
    assert torch.isfinite(refined).all() and refined.amax((1, 2)).min() > 0.99


def test_sizes_and_order_are_checked():
    feats = [torch.rand(1, 3, 4, 4), torch.rand(1, 3, 2, 2)]
    with pytest.raises(ValueError, match=r'one size.*\(4, 4\), \(2, 2\).*\(4, 4\)'):
        scg(feats, torch.rand(1, 4, 4))
    with pytest.raises(ValueError, match=r'model\.refiner\.order.*1 or more, got 0'):
        scg(feats[:1], torch.rand(1, 4, 4), order=0)


def test_the_refiner_brings_all_to_the_last_size():
    torch.manual_seed(0)
    feats = (torch.randn(2, 6, 8, 8), torch.randn(2, 3, 4, 4))
    maps = torch.randn(2, 8, 8)
    acts = Acts(feats, torch.zeros(2, 3))
    refined = SCGRefiner(**OPTIONS).refine(maps, acts, None, None)
    cam = maps.clamp(min=0)
    cam = torch.stack([torch.from_numpy(minmax(one.numpy())) for one in cam])
    cam = F.avg_pool2d(cam[:, None], 2)[:, 0]
    expected = scg([F.avg_pool2d(feats[0], 2), feats[1]], cam, **OPTIONS)
    torch.testing.assert_close(refined, expected)
    one = SCGRefiner(feats=[-1], **OPTIONS).refine(maps, acts, None, None)
    torch.testing.assert_close(one, scg([feats[1]], cam, **OPTIONS))
    # a map that is nowhere above 0 keeps its contrast
    low = SCGRefiner(**OPTIONS).refine(maps - 9, acts, None, None)
    assert low.amax((1, 2)).min() > 0.99


def test_autocast_leaves_the_correlations_alone():
    torch.manual_seed(0)
    acts = Acts((torch.randn(2, 6, 8, 8), torch.randn(2, 3, 4, 4)), torch.zeros(2, 3))
    maps = torch.randn(2, 8, 8)
    refiner = SCGRefiner(**OPTIONS)
    with torch.autocast('cpu', torch.bfloat16):
        found = refiner.refine(maps, acts, None, None)
    assert found.dtype == torch.float32
    assert torch.equal(found, refiner.refine(maps, acts, None, None))


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
def test_in_a_model(method):
    refiner = dict(type='bas_mm.SCGRefiner', **OPTIONS)
    plain = build_model(method, 'tiny', final_relu=False)
    model = build_model(method, 'tiny', final_relu=False, model=dict(refiner=refiner))
    assert plain.state_dict().keys() == model.state_dict().keys()
    model.eval()
    with torch.no_grad():
        samples = model.predict(torch.randn(2, 3, 64, 64), make_samples(0, 1))
        maps = model.class_maps(torch.randn(2, 3, 64, 64), [0, 3, 1])
    assert samples[0].pred_map.min() >= 0 and samples[0].pred_map.max() <= 1
    assert maps.shape[:2] == (2, 3)
