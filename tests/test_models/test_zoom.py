import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bas_mm.models import ZoomRefiner
from bas_mm.models.refiners.zoom import _cut
from tests.helpers.models import build_model, make_samples


class Model:
    """Its map is the brightness of the view, at half its size."""

    def __init__(self, threshold=0.5):
        self.head = build_model('CAM', 'tiny', threshold=threshold).head
        self.seen = []

    def data_preprocessor(self, data):
        """From gray levels to brightness."""
        return dict(inputs=data['inputs'] / 255)

    def plain_maps(self, inputs, classes):
        self.seen.append((inputs, classes))
        return F.avg_pool2d(inputs.mean(1, keepdim=True), 2)[:, 0]


def views(*boxes, size=64):
    """Black views with a bright box each."""
    x = torch.zeros(len(boxes), 3, size, size)
    for view, (x0, y0, x1, y1) in zip(x, boxes):
        view[:, y0:y1, x0:x1] = 1
    return x


def refine(refiner, model, x):
    refiner.bind(model)
    classes = torch.arange(len(x))[:, None]
    maps = model.plain_maps(x, classes)
    model.seen.clear()
    return refiner.refine(maps, None, x, classes), maps


def test_windows():
    refiner = ZoomRefiner(margin=1.5, min_side=0.35)
    boxes = torch.tensor(
        [[40, 40, 60, 50], [0, 0, 20, 4], [90, 95, 92, 97], [0, 0, 100, 90]]
    )
    found = refiner.windows(boxes.float(), (100, 120))
    assert found.tolist() == [
        [32.5, 27.5, 67.5, 62.5],  # 0.35 of 100 is more than 1.5 of 20
        [0, 0, 35, 35],
        [73.5, 65, 108.5, 100],  # pushed into the view
        [0, 0, 100, 100],  # no larger than the view
    ]


def test_the_window_is_enlarged_and_fused():
    x = views((16, 24, 32, 40), (0, 0, 60, 60))
    model = Model()
    fused, maps = refine(ZoomRefiner(margin=2.0, min_side=0.1), model, x)
    (((again, classes)),) = model.seen
    # the small one alone: the window (8, 16, 40, 48) at the size of the view
    assert again.shape == (1, 3, 64, 64) and classes.tolist() == [[0]]
    expected = F.interpolate(x[:1, :, 16:48, 8:40], (64, 64), mode='bilinear')
    # the rim of the window looks at its neighbors, which are black as well
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=0)
    assert fused.shape == (2, 64, 64)
    plain = F.interpolate(maps[:, None], (64, 64), mode='bilinear')[:, 0]
    torch.testing.assert_close(fused[1], plain[1])
    second = F.avg_pool2d(again.mean(1, keepdim=True), 2)
    second = F.interpolate(second, (32, 32), mode='bilinear')[0, 0]
    wanted = plain[0].clone()
    wanted[16:48, 8:40] = (wanted[16:48, 8:40] + second) / 2
    torch.testing.assert_close(fused[0], wanted, atol=0.15, rtol=0)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[16:48, 8:40] = False
    assert torch.equal(fused[0][outside], plain[0][outside])


@pytest.mark.parametrize('factor', [1, 2, 3.5])
def test_the_window_is_cut_from_the_pixels_of_the_image(factor):
    """The image holds two objects where the view shows a single blur."""
    size = round(64 * factor)
    image = torch.randint(
        0, 256, (3, size, size), generator=torch.Generator().manual_seed(0)
    ).byte()
    x = views((0, 0, 60, 60), (16, 24, 32, 40))
    model, refiner = Model(), ZoomRefiner(margin=2.0, min_side=0.1)
    refiner.bind(model)
    classes = torch.tensor([[0], [1]])
    maps = model.plain_maps(x, classes)
    model.seen.clear()
    fused = refiner.refine(maps, None, x, classes, detail=[image[:, :9], image])
    (((again, asked)),) = model.seen
    assert asked.tolist() == [[1]]
    # the window (8, 16, 40, 48) of the view
    x0, y0, x1, y1 = (round(n * factor) for n in (8, 16, 40, 48))
    part = image[None, :, y0:y1, x0:x1].float()
    wanted = F.interpolate(part, (64, 64), mode='bilinear', antialias=True) / 255
    torch.testing.assert_close(again, wanted)
    first = F.interpolate(maps[1:, None], (64, 64), mode='bilinear')[0, 0]
    second = F.avg_pool2d(again.mean(1, keepdim=True), 2)
    second = (second - second.min()) / (second.max() - second.min())
    second = F.interpolate(second, (64, 64), mode='bilinear')
    second = F.interpolate(second, (32, 32), mode='bilinear')[0, 0]
    expected = first.clone()
    expected[16:48, 8:40] = (expected[16:48, 8:40] + second) / 2
    torch.testing.assert_close(fused[1], expected, atol=0.02, rtol=0)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[16:48, 8:40] = False
    assert torch.equal(fused[1][outside], first[outside])


def test_a_window_of_less_than_a_pixel():
    image = torch.full((3, 2, 2), 99, dtype=torch.uint8)
    parts, window = _cut([image], torch.tensor([[0.9, 0.9, 1.0, 1.0]]), (4, 4))
    assert torch.equal(parts, torch.full((1, 3, 4, 4), 99.0))
    assert window.tolist() == [[0.5, 0.5, 1, 1]]


def test_large_objects_are_left_alone():
    model = Model()
    fused, maps = refine(ZoomRefiner(max_area=0.01), model, views((16, 24, 32, 40)))
    assert not model.seen
    plain = F.interpolate(maps[:, None], (64, 64), mode='bilinear')[:, 0]
    torch.testing.assert_close(fused, plain)


def test_a_map_without_contrast():
    """Its box is the whole view."""
    model = Model()
    fused, _ = refine(ZoomRefiner(), model, torch.ones(2, 3, 64, 64))
    assert not model.seen and not fused.any()


@pytest.mark.parametrize('method', ['CAM', 'BAS'])
@torch.no_grad()
def test_in_a_model(method):
    model = build_model(
        method,
        'tiny',
        final_relu=False,
        threshold=0.8,
        model=dict(refiner=dict(type='bas_mm.ZoomRefiner', max_area=1.0)),
    ).eval()
    samples = model.predict(torch.randn(2, 3, 64, 96), make_samples(0, 1))
    detail = [torch.randint(0, 256, (3, 256, 384)).byte() for _ in range(2)]
    closer = model.predict(torch.randn(2, 3, 64, 96), make_samples(0, 1), detail=detail)
    for sample in (*samples, *closer):
        assert sample.pred_map.shape == (64, 96)
        assert np.isfinite(sample.pred_bbox.numpy()).all()
    assert isinstance(model.refiner, nn.Module) and not model.refiner.state_dict()


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(max_area=0), r'model\.refiner\.max_area.*above 0 and at most 1, got 0'),
        (dict(min_side=2), r'model\.refiner\.min_side.*at most 1, got 2'),
        (dict(margin=-1), r'model\.refiner\.margin.*above 0, got -1'),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ZoomRefiner(**kwargs)
