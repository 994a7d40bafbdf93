import cv2
import numpy as np
import pytest
import torch

from bas_mm.evaluation import PxAP


def reference(maps, masks, step):
    """Precision and recall of ``score >= edge``, edge by edge."""
    m = np.concatenate([x.ravel() for x in maps])
    g = np.concatenate([x.ravel() for x in masks])
    m, g = m[g != 255], g[g != 255]
    area, recall = 0, 0
    for edge in [*np.arange(0, 1, step), 1][::-1]:
        above = m >= edge
        if above.any():
            now = (above & (g == 1)).sum() / (g == 1).sum()
            area += (above & (g == 1)).sum() / above.sum() * (now - recall)
            recall = now
    return 100 * area


def run(samples, **options):
    metric = PxAP(**options)
    metric.process({}, [dict(s, sample_idx=i) for i, s in enumerate(samples)])
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('step', [0.1, 0.01, 0.001])
def test_equals_definition(step):
    rng = np.random.default_rng(0)
    maps, masks = [], []
    for h, w in [(9, 12), (20, 6), (11, 11)]:
        m = rng.random((h, w))
        maps.append((m - m.min()) / (m.max() - m.min()))
        masks.append(rng.choice([0, 1, 255], (h, w), p=[0.5, 0.3, 0.2]))
    result = run(
        [dict(pred_map=5 * m - 2, gt_seg_map=g) for m, g in zip(maps, masks)], step=step
    )
    assert result == {'wsol/pxap': pytest.approx(reference(maps, masks, step))}


def test_perfect_inverse_and_constant():
    mask = np.zeros((10, 10), np.uint8)
    mask[2:7, 3:8] = 1
    tensor = torch.tensor(mask)
    assert run([dict(pred_map=mask, gt_seg_map=tensor)])['wsol/pxap'] == 100
    for m in (
        1 - mask,
        np.ones((3, 3)),
        np.full((3, 3), np.nan),
        np.zeros((0, 0)),
        np.array([[0, 1], [np.nan, 1]]),
    ):
        # Everything at once: precision is the share of foreground.
        assert run([dict(pred_map=m, gt_seg_map=mask)])['wsol/pxap'] == pytest.approx(
            25
        )


def test_resized_to_the_mask():
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 1
    assert run([dict(pred_map=[[1.0, 0]], gt_seg_map=mask)])['wsol/pxap'] == 100


@pytest.mark.parametrize(
    'resize, flag', [('bilinear', cv2.INTER_LINEAR), ('bicubic', cv2.INTER_CUBIC)]
)
def test_either_way_of_resizing(resize, flag):
    rng = np.random.default_rng(1)
    samples, maps, masks = [], [], []
    for low, (h, w) in [((4, 5), (20, 30)), ((7, 7), (24, 24))]:
        m = rng.random(low)
        mask = rng.choice([0, 1, 255], (h, w), p=[0.5, 0.3, 0.2])
        samples.append(dict(pred_map=m, gt_seg_map=mask))
        big = cv2.resize(m, (w, h), interpolation=flag)
        maps.append((big - big.min()) / (big - big.min()).max())
        masks.append(mask)
    result = run(samples, step=0.01, resize=resize)
    assert result == {'wsol/pxap': pytest.approx(reference(maps, masks, 0.01))}
    other = ({'bilinear', 'bicubic'} - {resize}).pop()
    assert run(samples, step=0.01, resize=other) != result


def test_unknown_options():
    with pytest.raises(ValueError, match=r"resize='cubic'.*\['bicubic', 'bilinear'\]"):
        PxAP(resize='cubic')
    with pytest.raises(ValueError, match='step=2'):
        PxAP(step=2)


def test_left_out():
    mask = np.eye(3, dtype=np.uint8)
    assert run([dict(pred_map=mask, gt_seg_map=mask), dict(pred_map=mask)]) == {
        'wsol/pxap': 100,
        'wsol/pxap_num_no_mask': 1,
    }
    assert run([dict(pred_map=mask)]) == {'wsol/pxap_num_no_mask': 1}
    assert np.isnan(run([dict(pred_map=mask, gt_seg_map=mask * 0)])['wsol/pxap'])


@pytest.mark.parametrize('mask', [np.full((3, 3), 7), np.zeros((2, 3, 3))])
def test_wrong_masks(mask):
    with pytest.raises(ValueError, match='gt_seg_map.*255'):
        run([dict(pred_map=np.eye(3), gt_seg_map=mask)])
