import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from bas_mm.localization import map_to_bbox
from bas_mm.models import BoxHead, WSOLClassifier
from tests.helpers.models import TRUNKS


def head(**options):
    torch.manual_seed(0)
    return BoxHead(**dict(dict(in_channels=4, map_size=32, mid_channels=8), **options))


def acts_of(box, **options):
    """Activations whose boxes are given, ``xywh`` shares of the view."""
    one = head(**options)
    acts = one((torch.zeros(len(box), 4, 2, 2),))
    return one, type(acts)(acts.feats, acts.logits, box=torch.tensor(box))


def sample(box, size=(100, 200)):
    return DataSample(
        pseudo_bbox=torch.tensor(box), metainfo=dict(img_shape=size)
    ).set_gt_label(0)


BOXES = [[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 1.0, 1.0], [0.9, 0.9, 0.5, 0.5], [0.3] * 4]


@pytest.mark.parametrize('threshold', [0.01, 0.3, 0.99, 'otsu', 'auto'])
def test_the_painted_box_is_the_box_at_every_threshold(threshold):
    one, acts = acts_of(BOXES, map_size=100)
    maps = one.class_maps(acts, torch.zeros(4, 1, dtype=torch.long))[:, 0]
    assert maps.shape == (4, 100, 100) and {*maps.flatten().tolist()} == {0, 1}
    boxes = one.boxes(acts, maps, (100, 100), threshold)
    assert boxes[0].tolist() == pytest.approx([10, 20, 60, 60], abs=1e-3)
    assert boxes[2].tolist() == pytest.approx([90, 90, 100, 100], abs=1e-3)
    for box, pred_map in zip(boxes, maps):
        seen = map_to_bbox(pred_map, (100, 100), threshold)
        np.testing.assert_allclose(seen, box, atol=0.51)


def test_a_box_of_no_size_is_one_cell():
    one, acts = acts_of([[0.5, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    maps = one.class_maps(acts, torch.zeros(2, 3, dtype=torch.long))
    assert maps.shape == (2, 3, 32, 32)
    assert maps.sum((2, 3)).tolist() == [[1] * 3] * 2


def test_boxes_are_in_pixels_of_a_view_that_is_not_square():
    one, acts = acts_of([[0.1, 0.2, 0.5, 0.4]])
    boxes = one.boxes(acts, None, (100, 200), 0.5)
    assert boxes[0].tolist() == pytest.approx([20, 20, 120, 60], abs=1e-3)
    # what is learned from such a box is the same
    target = one.targets([sample([20.0, 20.0, 120.0, 60.0])])
    torch.testing.assert_close(target, acts.box)


def test_the_loss_is_fifty_times_the_mean_squared_error():
    one, acts = acts_of(BOXES[:2])
    target = torch.rand(2, 4)
    expected = 50 * ((acts.box - target) ** 2).sum() / 8
    torch.testing.assert_close(one.loss(acts, target, None)['loss_box'], expected)


def test_without_a_pseudo_box_it_says_what_to_do():
    with pytest.raises(ValueError, match='pseudo_bbox.*LoadPseudoLabels'):
        head().targets([DataSample(gt_bboxes=torch.rand(1, 4)).set_gt_label(0)])


def test_overfits_eight_pictures():
    """A bright rectangle in each; the regressor finds them, by its own loss."""
    torch.manual_seed(0)
    views = 0.1 * torch.randn(8, 3, 64, 64)
    boxes = torch.tensor(
        [[8.0 * (i % 3), 6.0 * (i % 4), 30 + 4.0 * i, 40 + 3.0 * i] for i in range(8)]
    )
    for view, (x0, y0, x1, y1) in zip(views, boxes.int().tolist()):
        view[:, y0:y1, x0:x1] += 2
    samples = [sample(box.tolist(), (64, 64)) for box in boxes]
    model = WSOLClassifier(
        dict(TRUNKS['tiny'][0]),
        dict(type='bas_mm.SplitNeck', start='layer4'),
        dict(type='bas_mm.BoxHead', in_channels=32, map_size=64, mid_channels=64),
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    model.train()
    for _ in range(250):
        losses = model.loss(views, samples)
        assert set(losses) == {'loss_box'}
        optimizer.zero_grad()
        losses['loss_box'].backward()
        optimizer.step()
    with torch.no_grad():
        model.train()  # statistics of the eight alone
        found = model.predict(views, samples)
    for one, box in zip(found, boxes):
        low = torch.maximum(one.pred_bbox[:2], box[:2])
        high = torch.minimum(one.pred_bbox[2:], box[2:])
        inter = (high - low).clamp(min=0).prod()
        areas = [(b[2:] - b[:2]).prod() for b in (one.pred_bbox, box)]
        assert inter / (sum(areas) - inter) > 0.9
        assert one.pred_score.tolist() == [1.0]
