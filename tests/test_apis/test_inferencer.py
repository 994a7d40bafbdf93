"""The inferencer, on a tiny model and on one that sees brightness."""

import io
import itertools
import subprocess
import sys
from pathlib import Path
from threading import Barrier, get_ident
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from bas_mm import WSOLInferencer
from bas_mm.utils.devices import has_bf16
from tests.helpers.inference import CLASSES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def tiny(files):
    return WSOLInferencer(files / 'tiny.pth', device='cpu')


def brightness(inferencer, score=(0.1, 0.7, 0.2)):
    """Make the model's map the brightness of the view."""

    def predict(inputs, data_samples, test_cfg):
        for sample, view in zip(data_samples, inputs):
            sample.set_pred_score(torch.tensor(score))
            sample.pred_map = view.mean(0)
        return data_samples

    return mock.patch.object(inferencer.model, 'predict', predict)


# ---- what and where -------------------------------------------------------


def test_result_of_one_image(tiny, make_image):
    image, box = make_image()
    with brightness(tiny):
        (result,) = tiny(image, return_mask=True)
    assert result['pred_label'] == 1 and result['pred_class'] == 'cat'
    assert result['pred_score'] == pytest.approx(0.7)
    assert result['ori_shape'] == (120, 200) and result['img_path'] is None
    # a pixel of the view is 200/48 x 120/48 of the image
    assert np.abs(result['bbox'] - box).max() <= 200 / 48
    assert result['bbox'].dtype == np.float32
    loc_map = result['loc_map']
    assert loc_map.shape == (120, 200) and loc_map.dtype == np.float32
    assert 0 <= loc_map.min() < 0.01 and 0.99 < loc_map.max() <= 1
    assert loc_map[60, 100] > 0.9 and loc_map[5, 5] < 0.1
    mask = result['mask']
    assert mask.shape == (120, 200) and mask.dtype == bool
    ys, xs = np.nonzero(mask)
    tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert np.abs(result['bbox'] - tight).max() <= 1
    truth = np.zeros_like(mask)
    truth[30:90, 50:150] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.85


@pytest.mark.parametrize('view, corner', [('full', True), ('test', False)])
def test_the_view_reaches_the_border_or_is_cropped(files, view, corner):
    image = np.full((100, 200, 3), 10, np.uint8)
    image[:40, :60] = 250  # in the corner
    inferencer = WSOLInferencer(files / 'tiny.pth', view=view, device='cpu')
    with brightness(inferencer):
        (result,) = inferencer(image)
    # the crop of 48 of 64 pixels leaves out 8 of 64 on each side
    expected = [0, 0, 60, 40] if corner else [25, 12.5, 60, 40]
    step = np.array([200, 100] * 2) / (48 if corner else 64)
    assert (np.abs(result['bbox'] - expected) <= step).all()
    if corner:
        assert (result['bbox'][:2] == 0).all()
    else:  # exact: the first pixel of the crop is pixel 8 of 64
        assert result['bbox'][:2] == pytest.approx([25, 12.5])
        assert not result['loc_map'][:12].any()
        assert not result['loc_map'][:, :24].any()
        assert result['loc_map'][14, 28] > 0.9


def test_boxes_are_mapped_back_exactly(tiny):
    """Independent arithmetic on a map with one bright cell."""
    one = torch.zeros(48, 48)
    one[10:20, 5:45] = 1

    def predict(inputs, data_samples, test_cfg):
        for sample in data_samples:
            sample.set_pred_score(torch.tensor([1.0, 0, 0]))
            sample.pred_map = one
        return data_samples

    with mock.patch.object(tiny.model, 'predict', predict):
        for height, width in ((48, 48), (333, 511), (1000, 37), (2, 3)):
            (result,) = tiny(np.zeros((height, width, 3), np.uint8))
            assert result['bbox'] == pytest.approx(
                [5 * width / 48, 10 * height / 48, 45 * width / 48, 20 * height / 48],
                rel=1e-5,
            )


@pytest.mark.parametrize('keep_ratio', [False, True])
def test_same_numbers_as_the_test_pipeline(files, write, keep_ratio):
    """What `bas-mm test` does to the same image, ten crop included."""
    cfg = Config.fromfile(files / 'tiny.py')
    steps = cfg.test_dataloader.dataset.pipeline
    steps[2].keep_ratio = keep_ratio
    if keep_ratio:
        steps[2].scale = (128, 64)
    steps[3].type = 'bas_mm.TenCrop'
    rng = np.random.default_rng(0)
    paths = [
        write(f'{c}/{i}.png', rng.integers(0, 255, (70 + i, 90, 3)).astype(np.uint8))
        for i, c in enumerate('aab')
    ]
    cfg.test_dataloader.dataset.data_root = str(Path(paths[0]).parents[1])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(files / 'tiny.pth')['state_dict'])
    model.head.map_label = 'pred'
    batch = [dataset[i] for i in range(3)]
    with torch.no_grad():
        expected = model.test_step(default_collate(batch))
    ours = WSOLInferencer(cfg, files / 'tiny.pth', 'cpu', view='test')(paths)
    for a, b in zip(ours, expected):
        height, width = a['ori_shape']
        assert torch.equal(torch.tensor(a['scores']), b.pred_score)
        assert a['pred_label'] == b.pred_label
        # Resize, then the middle 48 x 48
        if keep_ratio:
            ratio = min(128 / width, 64 / height)
            big = int(width * ratio + 0.5), int(height * ratio + 0.5)
        else:
            big = 64, 64
        shift = [round((n - 48) / 2) for n in big] * 2
        scale = np.array([big[0] / width, big[1] / height] * 2)
        assert a['bbox'] == pytest.approx(
            (b.pred_bbox.numpy() + shift) / scale, abs=1e-4
        )


def test_threshold_topk_and_the_models_settings_stay(tiny, make_image):
    image, _ = make_image()
    image[30:90, 50:80] = 120  # half bright
    with brightness(tiny):
        (low,) = tiny(image, threshold=0.2)
        (high,) = tiny(image, threshold=0.8)
        (default,) = tiny(image)
        (same,) = tiny(image, threshold=tiny.model.head.threshold)
    assert high['bbox'][0] > low['bbox'][0] + 20
    assert (default['bbox'] == same['bbox']).all()
    head = tiny.model.head
    maps = [tiny(image, topk=k)[0]['loc_map'] for k in (1, 2, 3)]
    assert not np.allclose(maps[0], maps[1])
    assert not np.allclose(maps[1], maps[2])
    assert np.allclose(tiny(image)[0]['loc_map'], maps[1])  # the config's
    assert (head.topk, head.map_label) == (2, 'gt')


def test_asked_classes(tiny, make_image):
    image, _ = make_image()
    (result,) = tiny(image, classes=['Milvus', 2], return_mask=True)
    asked = result['asked']
    assert [one['label'] for one in asked] == [0, 2]
    assert [one['class'] for one in asked] == [CLASSES[0], CLASSES[2]]
    (again,) = tiny(image, classes=['Milvus', 2, 0, 'milvus'])  # once each
    assert [one['label'] for one in again['asked']] == [0, 2]
    best = max(asked, key=lambda one: one['score'])
    assert result['pred_label'] == best['label']
    assert (result['bbox'] == best['bbox']).all() and 'mask' in best
    assert not np.allclose(asked[0]['loc_map'], asked[1]['loc_map'])
    # the map of a class is its logit map, whatever is predicted
    with torch.no_grad():
        view = tiny.viewer(image).inputs
        data = tiny.model.data_preprocessor(dict(inputs=[view]))
        feats = tiny.model.extract_feat(data['inputs'])
        logits = tiny.model.head.classifier(feats[-1])[0]
    for one in asked:
        raw = logits[one['label']]
        raw = (raw - raw.min()) / (raw - raw.min()).max()
        raw = F.interpolate(
            raw[None, None], (120, 200), mode='bilinear', align_corners=False
        )[0, 0]
        assert np.abs(one['loc_map'] - raw.numpy()).max() < 1e-4


def test_known_labels_choose_the_map(tiny, make_image):
    image, _ = make_image()
    results = tiny([image] * 3, labels=[0, 1, 2], topk=1, batch_size=2)
    asked = tiny(image, classes=[0, 1, 2])[0]['asked']
    for result, one in zip(results, asked):
        assert np.allclose(result['loc_map'], one['loc_map'], atol=1e-5)
    assert len({result['pred_label'] for result in results}) == 1


def test_several_components(tiny, make_image):
    image, _ = make_image()
    image[5:15, 180:195] = 230
    with brightness(tiny):
        (one,) = tiny(image, return_mask=True)
        (result,) = tiny(image, multi=True, return_mask=True)
    assert len(result['bboxes']) == len(result['masks']) == 2
    assert (result['bboxes'][0] == one['bbox']).all()
    assert np.abs(result['bboxes'][1] - [180, 5, 195, 15]).max() <= 5
    assert not one['mask'][10, 187] and result['mask'][10, 187]
    assert result['masks'][1][10, 187] and not result['masks'][1][60, 100]
    assert 'bboxes' not in one


def test_equal_components_in_the_order_of_their_boxes(tiny):
    image = np.zeros((48, 48, 3), np.uint8)
    for y, x in ((30, 2), (2, 30), (2, 2), (30, 30)):
        image[y : y + 8, x : x + 8] = 255
    with brightness(tiny):
        (result,) = tiny(image, multi=True, return_mask=True)
    assert len(result['bboxes']) == 4
    for box, mask in zip(result['bboxes'], result['masks']):
        ys, xs = np.nonzero(mask)
        assert box == pytest.approx([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def test_a_map_without_contrast_gives_the_whole_view(tiny):
    with brightness(tiny):
        (result,) = tiny(np.full((30, 40, 3), 7, np.uint8), return_mask=True)
    assert result['bbox'].tolist() == [0, 0, 40, 30]
    assert not result['loc_map'].any() and result['mask'].all()


# ---- what goes in ---------------------------------------------------------


def test_paths_arrays_lists_and_folders(tiny, write, tmp_path, make_image):
    image, _ = make_image()
    first = write('in/b.png', image)
    write('in/sub/a.bmp', image)
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    results = tiny(tmp_path / 'in')
    assert [r['name'] for r in results] == ['b.png', 'sub/a.bmp']
    results = tiny([first, image, tmp_path / 'in'], batch_size=3)
    assert [r['name'] for r in results] == ['b.png', '000001', 'b.png', 'sub/a.bmp']
    assert [r['index'] for r in results] == [0, 1, 2, 3]
    scores = [r['scores'] for r in results]
    assert all(np.allclose(scores[0], s, atol=1e-6) for s in scores)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty.*holds no image'):
        tiny(tmp_path / 'empty')
    with pytest.raises(FileNotFoundError, match='no image .*gone.jpg'):
        tiny('gone.jpg')
    with pytest.raises(ValueError, match='`inputs` is empty'):
        tiny([])


def test_exif_turns_the_image_as_it_is_displayed(tiny, tmp_path, make_image):
    image, box = make_image(120, 200, (20, 30, 90, 60))
    for suffix, orientation in (('jpg', 6), ('jpg', 3), ('jpg', 5)):
        path = tmp_path / f'{orientation}.{suffix}'
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(image).save(path, exif=exif, quality=95)
        with brightness(tiny):
            (result,) = tiny(str(path))
        x0, y0, x1, y1 = box
        shape, expected = {
            6: ((200, 120), (120 - y1, x0, 120 - y0, x1)),  # 90 degrees right
            3: ((120, 200), (200 - x1, 120 - y1, 200 - x0, 120 - y0)),
            5: ((200, 120), (y0, x0, y1, x1)),  # mirrored on the diagonal
        }[orientation]
        assert result['ori_shape'] == shape
        assert np.abs(result['bbox'] - expected).max() <= 200 / 48 + 1


def test_gray_sixteen_bit_and_alpha(tiny, write):
    gray = np.full((60, 80), 30, np.uint8)
    gray[20:40, 10:50] = 200
    deep = (gray.astype(np.uint16) << 8) + 99
    color = np.repeat(gray[..., None], 3, 2)
    alpha = np.dstack([color, np.full_like(gray, 128)])
    with brightness(tiny):
        (expected,) = tiny(color)
        for name, image in dict(
            gray=gray,
            deep=deep,
            alpha=alpha,
            one=gray[..., None],
            deep_color=color.astype(np.uint16) << 8,
        ).items():
            for source in (image, write(f'{name}.png', image)):
                (result,) = tiny(source)
                assert (result['bbox'] == expected['bbox']).all(), name
                assert np.allclose(result['loc_map'], expected['loc_map'], atol=0.01), (
                    name
                )


@pytest.mark.parametrize('shape', [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_images_of_a_few_pixels(files, shape, write, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    path = write('tiny.png', image)
    for view in ('full', 'test'):
        inferencer = WSOLInferencer(files / 'tiny.pth', device='cpu', view=view)
        (result,) = inferencer(
            path, return_mask=True, multi=True, show_dir=tmp_path / 'out'
        )
        assert result['loc_map'].shape == result['mask'].shape == shape
        x0, y0, x1, y1 = result['bbox']
        assert 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]
        assert all(mask.any() for mask in result['masks'])
        drawn = cv2.imread(result['vis_path'])
        assert drawn is not None and max(drawn.shape) <= 1700


def test_fifty_megapixels(tiny):
    image = np.zeros((5000, 10000, 3), np.uint8)
    image[1000:2000, 5000:8000] = 255
    with brightness(tiny):
        (result,) = tiny(image)
    assert result['loc_map'].shape == (5000, 10000)
    assert np.abs(result['bbox'] - [5000, 1000, 8000, 2000]).max() <= 10000 / 48
    assert max(tiny.draw(image, result).shape) <= 1600


@pytest.fixture
def broken(write, tmp_path, make_image):
    """Three good images among bad ones."""
    image, _ = make_image()
    noise = np.random.default_rng(0).integers(0, 255, image.shape)
    for name in ('a.jpg', 'm.png', 'z.jpg'):
        write(f'in/{name}', image)
    folder = tmp_path / 'in'
    for suffix in ('jpg', 'png'):
        whole = io.BytesIO()
        Image.fromarray(noise.astype(np.uint8)).save(
            whole, dict(jpg='jpeg').get(suffix, suffix)
        )
        content = whole.getvalue()
        (folder / f'cut.{suffix}').write_bytes(content[: len(content) // 2])
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'text.png').write_bytes(b'this is no image at all')
    return folder


def test_bad_images_are_named(tiny, broken):
    for name, match in (
        ('cut.jpg', 'cut off or damaged'),
        ('cut.png', 'cut off or damaged'),
        ('empty.jpg', r'\(0 bytes\) is no image'),
        ('text.png', 'no image that can be read'),
    ):
        with pytest.raises(ValueError, match=f'{name}.*{match}'):
            tiny(broken / name)
    with pytest.raises(ValueError, match='cut.jpg'):
        tiny(broken)


def test_bad_images_are_skipped_counted_and_named(tiny, broken):
    logger = MMLogger.get_current_instance()
    with mock.patch.object(logger, 'warning') as warning:
        results = tiny(broken, on_error='skip', batch_size=2)
    assert [r['name'] for r in results] == ['a.jpg', 'm.png', 'z.jpg']
    assert [name for name, _ in tiny.skipped] == [
        'cut.jpg',
        'cut.png',
        'empty.jpg',
        'text.png',
    ]
    (said,) = warning.call_args.args
    assert '4 of 7 images could not be read' in said
    assert 'empty.jpg' in said
    last = tiny([broken / 'a.jpg', broken / 'cut.jpg'], on_error='skip')
    assert [r['name'] for r in last] == ['a.jpg'] and len(tiny.skipped) == 1
    tiny(broken / 'a.jpg')
    assert tiny.skipped == []


def test_what_was_found_before_an_error_comes_out(tiny, broken):
    stream = tiny.stream(broken, batch_size=8)
    assert next(stream)['name'] == 'a.jpg'
    with pytest.raises(ValueError, match='cut.jpg'):
        next(stream)


def test_images_are_read_while_others_are(tiny, make_image):
    """Neither waits for the other, and no folder is read far ahead."""
    image, _ = make_image()
    together, numbers, begun = Barrier(2), itertools.count(), []

    def load(source):
        number = next(numbers)  # len(begun) may have grown in another thread
        begun.append(number)
        if number < 2:
            together.wait(60)
        return source

    with mock.patch('bas_mm.apis.inferencer.load_image', load):
        stream = tiny.stream([image] * 30, batch_size=2)
        assert next(stream)['index'] == 0
        assert 2 <= len(begun) <= 2 + 2 * 2
        assert [result['index'] for result in stream] == list(range(1, 30))


def test_torch_stays_out_of_the_threads(tiny, make_image):
    """It would open threads of its own for each of them, one for each core."""
    viewer, found = tiny.viewer, {}

    def note(name, function):
        def call(*args):
            found.setdefault(name, set()).add(get_ident())
            return function(*args)

        return call

    with (
        mock.patch.object(viewer, 'to_tensors', note('torch', viewer.to_tensors)),
        mock.patch.object(viewer, 'prepare', note('steps', viewer.prepare)),
    ):
        tiny([make_image()[0]] * 9, batch_size=2)
    assert found['torch'] == {get_ident()} and get_ident() not in found['steps']


def test_a_view_that_cannot_be_made_is_no_bad_image(tiny, make_image):
    image, _ = make_image()
    with (
        mock.patch.object(tiny.viewer, 'prepare', side_effect=ValueError('the steps')),
        pytest.raises(ValueError, match='the steps'),
    ):
        tiny([image] * 3, on_error='skip')


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(threshold=2), '`threshold` must be between 0 and 1, .* got 2'),
        (dict(topk=0), r'`topk` \(model.head.topk\) must be at least 1, got 0'),
        (dict(batch_size=0), '`batch_size` must be at least 1'),
        (dict(on_error='stop'), "`on_error` must be 'raise' or 'skip'"),
        (dict(classes=[]), '`classes` is empty'),
        (dict(classes='cat', topk=2), 'leave out `topk`'),
        (dict(labels=[0, 1]), '1 images, but 2 `labels`'),
        (dict(labels=[7]), 'has 0 to 2'),
        (dict(labels=['Milwus']), "no class 'Milwus'; there are 0"),
        (dict(min_score='0.5'), "`min_score` must be from 0 to 1, got '0.5'"),
    ],
)
def test_wrong_options_fail_before_the_first_image(tiny, options, match):
    with pytest.raises(ValueError, match=match):
        tiny.stream(np.zeros((8, 8, 3), np.uint8), **options)


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(topk=1.5), '`topk` must be a whole number, got 1.5'),
        (dict(topk='1'), "`topk` must be a whole number, got '1'"),
        (dict(batch_size=2.5), '`batch_size` must be a whole number, got 2.5'),
        (dict(batch_size=None), '`batch_size` must be a whole number, got None'),
        (dict(labels=1), '`labels` are a list, one for each image; got 1'),
        (dict(labels='01'), '`labels` are a list'),
        (dict(labels=[1.7]), '`class` must be a whole number, got 1.7'),
        (dict(labels=[True]), '`class` must be a whole number, got True'),
        (dict(classes=True), '`class` must be a whole number'),
        (dict(classes=[1.0]), '`class` must be a whole number'),
    ],
)
def test_options_of_another_type(tiny, options, match):
    with pytest.raises(TypeError, match=match):
        tiny.stream(np.zeros((8, 8, 3), np.uint8), **options)


def test_numbers_of_numpy_are_numbers(tiny, make_image):
    image, _ = make_image()
    options = dict(topk=np.int64(1), batch_size=np.int32(2), min_score=np.float32(1))
    (result,) = tiny(image, **options)
    assert not result['has_object'] and result['bbox'] is None
    assert tiny(image, classes=[np.int64(2)])[0]['pred_label'] == 2


def test_drawings_need_a_folder(tiny, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='show_dir'):
        tiny.stream(np.zeros((8, 8, 3), np.uint8), show_dir=tmp_path / 'file')


# ---- drawings -------------------------------------------------------------


def test_drawings_are_written_once_each_and_over_no_input(
    tiny, write, tmp_path, make_image
):
    image, _ = make_image()
    files = [tmp_path / 'in' / name for name in ('a.jpg', 'a.png', 'sub/a.jpg')]
    for file in files:
        write(f'in/{file.relative_to(tmp_path / "in")}', image)
    before = (tmp_path / 'in' / 'a.jpg').read_bytes()
    results = tiny(files, show_dir=tmp_path / 'in')
    names = [
        Path(r['vis_path']).relative_to(tmp_path / 'in').as_posix() for r in results
    ]
    assert names == ['a_2.jpg', 'a_3.jpg', 'sub/a_2.jpg']
    with pytest.raises(ValueError, match='The drawings would lie among the images'):
        tiny(tmp_path / 'in', show_dir=tmp_path / 'in')
    assert (tmp_path / 'in' / 'a.jpg').read_bytes() == before
    results = tiny([image, image], show_dir=tmp_path / 'out')
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        '000000.jpg',
        '000001.jpg',
    ]


@pytest.mark.parametrize(
    'size, factor', [((240, 400), 1), ((1200, 2000), 0.8), ((56, 80), 4)]
)
def test_the_box_is_drawn_where_it_is(tiny, make_image, size, factor):
    height, width = size
    image, _ = make_image(
        height, width, (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    )
    with brightness(tiny):
        (result,) = tiny(image)
    drawn = tiny.draw(image, result)  # RGB
    height = round(height * factor)
    assert drawn.shape[1] == round(width * factor)
    assert drawn.shape[0] > height  # the caption
    green = (drawn[:height] == (0, 255, 0)).all(-1)
    ys, xs = np.nonzero(green)
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert np.abs(result['bbox'] * factor - found).max() <= max(3, height / 56)


def test_drawings_of_an_earlier_call_are_no_input(tiny, write, tmp_path, make_image):
    write('a.jpg', make_image()[0])
    for _ in range(2):
        results = tiny(tmp_path, show_dir=tmp_path / 'out')
        assert [r['name'] for r in results] == ['a.jpg']
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['a.jpg']


# ---- models ---------------------------------------------------------------


def test_asked_classes_come_from_one_pass(tiny, make_image):
    image, _ = make_image()
    backbone = tiny.model.backbone
    with (
        mock.patch.object(
            backbone.layer4, 'forward', wraps=backbone.layer4.forward
        ) as last,
        mock.patch.object(
            backbone.layer1, 'forward', wraps=backbone.layer1.forward
        ) as first,
    ):
        (result,) = tiny(image, classes=[2, 0, 1])
    assert len(result['asked']) == 3
    assert first.call_count == last.call_count == 1


def test_two_networks(files, tiny, make_image):
    """What from one network, where from another."""
    cfg = Config.fromfile(files / 'tiny.py')
    one = cfg.model.to_dict()
    preprocessor = one.pop('data_preprocessor')
    cfg.model = dict(
        type='bas_mm.TwoNetworks',
        data_preprocessor=preprocessor,
        localizer=one,
        classifier=dict(
            one,
            backbone=dict(one['backbone'], base_channels=8),
            head=dict(one['head'], in_channels=64),
        ),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.localizer.load_state_dict(tiny.model.state_dict())
    path = files / 'two.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    two = WSOLInferencer(cfg, path, device='cpu')
    image, _ = make_image()
    (ours,), (alone,) = two(image, classes=[0, 1]), tiny(image, classes=[0, 1])
    for a, b in zip(ours['asked'], alone['asked']):
        assert np.array_equal(a['loc_map'], b['loc_map'])
        assert np.array_equal(a['bbox'], b['bbox'])
    assert not np.allclose(ours['scores'], alone['scores'], atol=1e-4)
    (result,) = two(image, topk=1)
    asked = two(image, classes=[result['pred_label']])[0]['asked'][0]
    assert np.allclose(result['loc_map'], asked['loc_map'], atol=1e-6)


def test_import_stays_cheap_and_lazy():
    code = (
        'import sys, bas_mm; assert "mmpretrain.models" not in '
        'sys.modules; bas_mm.WSOLInferencer; '
        'assert "mmpretrain.models" in sys.modules\n'
        'try: bas_mm.nothing\nexcept AttributeError: print("fine")'
    )
    out = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert out.stdout.split()[-1:] == ['fine'], out.stderr


# ---- fast -----------------------------------------------------------------


def test_fast_gives_the_same_to_the_last_digits(files, make_image):
    plain = WSOLInferencer(files / 'tiny.pth', device='cpu')
    fast = WSOLInferencer(files / 'tiny.pth', device='cpu', fast=True)
    assert any(isinstance(m, torch.nn.Identity) for m in fast.model.modules())
    images = [make_image(box=(x, 30, x + 60, 90))[0] for x in (10, 90)]
    for options in (dict(), dict(classes=['cat', 'grey cat'])):
        for one, other in zip(fast(images, **options), plain(images, **options)):
            np.testing.assert_allclose(one['scores'], other['scores'], atol=0.02)
            np.testing.assert_allclose(one['loc_map'], other['loc_map'], atol=0.1)
            if has_bf16(torch.device('cpu')):
                assert not np.array_equal(one['scores'], other['scores'])


@pytest.mark.parametrize('has, dtype', [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_taken_where_it_is_there(files, make_image, has, dtype):
    seen = []
    with mock.patch('bas_mm.apis.fast.has_bf16', return_value=has):
        fast = WSOLInferencer(files / 'tiny.pth', device='cpu', fast=True)
    fast.model.backbone.layer4.register_forward_hook(
        lambda module, args, output: seen.append(output.dtype)
    )
    fast(make_image()[0])
    fast(make_image()[0], classes=['cat'])
    assert seen == [dtype, dtype]


def test_an_exported_model_is_not_made_fast():
    with pytest.raises(ValueError, match='model.onnx runs as it was written: leave'):
        WSOLInferencer('model.onnx', fast=True)
