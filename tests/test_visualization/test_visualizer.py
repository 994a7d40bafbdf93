from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from mmengine.visualization import Visualizer
from mmpretrain.engine import VisualizationHook
from mmpretrain.structures import DataSample

from bas_mm.registry import VISUALIZERS
from bas_mm.visualization import WSOLVisualizer

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def image():
    """A smooth image, ``(240, 300, 3)``, with red least."""
    y, x = np.mgrid[:240, :300]
    return np.dstack([120 + y // 4, 100 + x // 4, 20 + y // 8]).astype('uint8')


def sample(**fields):
    return DataSample(**fields)


def draw(image, data_sample, **kwargs):
    visualizer = WSOLVisualizer(alpha=kwargs.pop('alpha', 0.5))
    return visualizer.draw(image, data_sample, **kwargs)


def test_registered():
    assert VISUALIZERS.get('bas_mm.WSOLVisualizer') is WSOLVisualizer


def test_nothing_to_draw_gives_the_image_in_rgb(image):
    np.testing.assert_array_equal(draw(image, sample()), image[..., ::-1])
    same = WSOLVisualizer(channel_order='rgb').draw(image, sample())
    np.testing.assert_array_equal(same, image)


@pytest.mark.parametrize('field, color', [('gt_bboxes', RED), ('pred_bbox', GREEN)])
def test_box(image, field, color):
    box = np.array([40, 50, 101, 151], dtype=np.float32)
    drawn = draw(image, sample(**{field: box}))
    rows, cols = np.nonzero((drawn == color).all(-1))
    # thickness 2: one row or column beyond the box on two sides
    assert rows.min() in (49, 50) and rows.max() in (150, 151)
    assert cols.min() in (39, 40) and cols.max() in (100, 101)
    assert (drawn[50, 40:101] == color).all()  # first row and last row
    assert (drawn[150, 40:101] == color).all()
    inside = np.s_[60:140, 50:90]
    np.testing.assert_array_equal(drawn[inside], image[..., ::-1][inside])


def test_boxes_scale_with_the_image(image):
    boxes = torch.tensor([[30.0, 24.0, 60.0, 48.0], [90.0, 96.0, 270.0, 216.0]])
    drawn = draw(image, sample(gt_bboxes=boxes), resize=480)
    assert drawn.shape == (480, 600, 3)
    for x0, y0, x1, y1 in (boxes * 2).int().tolist():
        assert (drawn[y0, x0:x1] == RED).all()
        assert (drawn[y1 - 1, x0:x1] == RED).all()
        assert (drawn[y0:y1, x0] == RED).all()
        assert (drawn[y0:y1, x1 - 1] == RED).all()


def test_box_of_the_whole_view_is_inside(image):
    drawn = draw(image, sample(pred_bbox=torch.tensor([0.0, 0.0, 300.0, 240.0])))
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert (edge == GREEN).all()


def test_a_prediction_does_not_hide_the_truth(image):
    whole = np.array([0, 0, 300, 240], np.float32)
    drawn = draw(image, sample(gt_bboxes=whole[None], pred_bbox=whole))
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert (edge == RED).all()
    rows, cols = np.nonzero((drawn == GREEN).all(-1))
    assert 0 < rows.min() < 8 and 240 - 9 < rows.max() < 239
    assert 0 < cols.min() < 8 and 300 - 9 < cols.max() < 299
    # elsewhere a box is drawn where it is
    box = np.array([40, 50, 101, 151], np.float32)
    far = draw(image, sample(gt_bboxes=whole[None], pred_bbox=box))
    assert (far[50, 40:101] == GREEN).all()


@pytest.mark.parametrize(
    'boxes', [np.zeros((0, 4)), torch.zeros(0), np.full((2, 4), np.nan)]
)
def test_no_boxes(image, boxes):
    drawn = draw(image, sample(gt_bboxes=boxes))
    np.testing.assert_array_equal(drawn, image[..., ::-1])


def test_wrong_boxes(image):
    with pytest.raises(ValueError, match=r'\(n, 4\).*got \(3,\)'):
        draw(image, sample(gt_bboxes=torch.zeros(3)))
    with pytest.raises(ValueError, match=r'\(n, 4\).*got \(4, 2\)'):
        draw(image, sample(gt_bboxes=torch.zeros(4, 2)))


def test_map_is_red_where_it_is_high(image):
    pred_map = torch.zeros(6, 6)
    pred_map[4, 1] = -7
    pred_map[1, 4] = 30
    heat = draw(image, sample(pred_map=pred_map), alpha=1.0)
    red, blue = heat[..., 0].astype(int), heat[..., 2].astype(int)
    assert (red - blue)[60, 225] > 100  # center of the cell (1, 4)
    assert (blue - red)[180, 75] > 100  # center of the cell (4, 1)


def test_map_alpha(image):
    pred_map = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    heat = draw(image, sample(pred_map=pred_map), alpha=1.0).astype(float)
    mixed = draw(image, sample(pred_map=pred_map), alpha=0.25)
    expected = 0.25 * heat + 0.75 * image[..., ::-1]
    np.testing.assert_allclose(mixed, expected, atol=1)
    plain = draw(image, sample(pred_map=pred_map), draw_map=False)
    np.testing.assert_array_equal(plain, image[..., ::-1])


@pytest.mark.parametrize(
    'pred_map',
    [
        torch.zeros(4, 4),
        torch.full((4, 4), torch.nan),
        torch.ones(0, 4),
    ],
)
def test_map_that_says_nothing_is_blue(image, pred_map):
    heat = draw(image, sample(pred_map=pred_map), alpha=1.0)
    assert (heat == (0, 0, 128)).all()  # the low end of the color map


def test_wrong_map_and_image(image):
    with pytest.raises(ValueError, match=r'\(h, w\)'):
        draw(image, sample(pred_map=torch.zeros(2, 4, 4)))
    with pytest.raises(ValueError, match=r'\(h, w, 3\), got \(240, 300\)'):
        draw(image[..., 0], sample())


def test_caption(image):
    data_sample = (
        sample()
        .set_gt_label(1)
        .set_pred_label(0)
        .set_pred_score(torch.tensor([0.75, 0.25]))
    )
    visualizer = WSOLVisualizer()
    visualizer.dataset_meta = dict(classes=['cat', 'dog'])
    texts = []
    with patch.object(cv2, 'putText', lambda img, text, *args: texts.append(text)):
        drawn = visualizer.draw(image, data_sample)
        assert texts == ['gt: dog', 'pred: 0.75 cat']
        assert drawn.shape[0] > 240 and drawn.shape[1] == 300
        np.testing.assert_array_equal(drawn[:240], image[..., ::-1])
        texts.clear()
        visualizer.draw(image, data_sample, draw_score=False)
        visualizer.draw(image, data_sample, draw_gt=False)
        visualizer.draw(image, data_sample, draw_pred=False)
        assert texts == ['gt: dog', 'pred: cat', 'pred: 0.75 cat', 'gt: dog']
        texts.clear()
        visualizer.draw(image, data_sample, classes=['x' * 200, 'y'])
        assert len(texts[1]) < 100 and texts[1].endswith('..')
        texts.clear()
        visualizer.dataset_meta = None
        visualizer.draw(image, data_sample)
        assert texts == ['gt: 1', 'pred: 0.75 0']
        texts.clear()
        bare = data_sample.clone()
        bare.set_field(False, 'has_object')
        visualizer.draw(image, bare)
        assert texts == ['gt: 1', 'no object: 0.75 0']
    no_text = visualizer.draw(image, data_sample, draw_text=False)
    np.testing.assert_array_equal(no_text, image[..., ::-1])
    assert visualizer.draw(image, data_sample)[240:].max() > 200


def test_caption_of_a_sliver():
    drawn = draw(
        np.zeros((300, 1, 3), np.uint8),
        sample(pred_label=torch.tensor([0])),
        classes=['a long name'],
    )
    assert drawn.shape[2] == 3


@pytest.mark.parametrize(
    'kwargs, shape',
    [
        (dict(), (224, 280)),
        (dict(resize=100), (100, 125)),
        (dict(rescale_factor=2), (128, 160)),
    ],
)
def test_small_views_are_enlarged(kwargs, shape):
    drawn = draw(np.zeros((64, 80, 3), np.uint8), sample(), **kwargs)
    assert drawn.shape[:2] == shape


def test_arrays_and_tensors_draw_the_same(image):
    fields = dict(
        pred_map=torch.rand(4, 4, dtype=torch.float64),
        pred_bbox=torch.tensor([5.0, 6.0, 70.0, 80.0]),
        gt_bboxes=torch.tensor([[15.0, 6.0, 70.0, 90.0]]),
        gt_label=torch.tensor([1]),
        pred_label=torch.tensor([0]),
        pred_score=torch.tensor([0.5, 0.5]),
    )
    arrays = {key: value.numpy() for key, value in fields.items()}
    np.testing.assert_array_equal(
        draw(image, sample(**fields)), draw(image, sample(**arrays))
    )


def test_wrong_options():
    with pytest.raises(ValueError, match='visualizer.alpha'):
        WSOLVisualizer(alpha=1.5)
    with pytest.raises(ValueError, match='visualizer.channel_order'):
        WSOLVisualizer(channel_order='gray')


def test_stock_hook_keeps_colours_and_folders(image, tmp_path):
    visualizer = WSOLVisualizer()
    with patch.object(Visualizer, 'get_current_instance', lambda: visualizer):
        hook = VisualizationHook(enable=True, interval=1, out_dir=str(tmp_path))
    paths = ['cat/1.png', 'dog/1.png']
    data_samples = [DataSample(metainfo=dict(img_path=p)) for p in paths]
    inputs = [torch.from_numpy(image).permute(2, 0, 1)] * 2  # BGR, as loaded
    hook.after_test_iter(None, 0, dict(inputs=inputs), data_samples)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ['cat_1.png_0.png', 'dog_1.png_0.png']
    for file in files:
        written = cv2.imread(str(tmp_path / file))  # BGR
        np.testing.assert_array_equal(written, image)


def test_given_file_name_is_kept(image, tmp_path):
    drawn = WSOLVisualizer().visualize_cls(
        image,
        DataSample(metainfo=dict(img_path='cat/1.png')),
        out_file=str(tmp_path / 'new' / 'picture.png'),
    )
    written = cv2.imread(str(tmp_path / 'new' / 'picture.png'))
    np.testing.assert_array_equal(written[..., ::-1], drawn)


def test_backends_get_the_drawing(image, tmp_path):
    visualizer = WSOLVisualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    drawn = visualizer.visualize_cls(image, sample(), name='bird', step=3)
    written = cv2.imread(str(tmp_path / 'vis_data' / 'vis_image' / 'bird_3.png'))
    np.testing.assert_array_equal(written[..., ::-1], drawn)
