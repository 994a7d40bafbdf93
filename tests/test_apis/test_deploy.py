"""Models as files that run without the package."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from bas_mm.apis import WSOLInferencer, deploy, recipe
from bas_mm.apis.deploy import FORMATS, Graph, export_model
from bas_mm.apis.model import EXPORTED, build_model, find_model
from bas_mm.localization import ViewFrame
from bas_mm.utils.configs import find_config
from tests.helpers.inference import CLASSES, make_files

SIZE = 48


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A folder with a checkpoint, and its model."""
    folder = make_files(tmp_path_factory.mktemp('deploy'))
    cfg, checkpoint, name = find_model(str(folder / 'tiny.pth'), None)
    return folder, cfg, build_model(cfg, checkpoint, name).eval()


def write(tiny, name='best.onnx', file_format='onnx', **options):
    folder, cfg, model = tiny
    path = folder / name
    if not path.exists():
        export_model(cfg, model, list(CLASSES), str(path), file_format, **options)
    return str(path)


def images(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


def test_the_files_that_are_no_checkpoints_are_those_of_the_formats():
    assert set(EXPORTED) == {kind.end for kind in FORMATS.values()}


@pytest.mark.parametrize('file_format', FORMATS)
def test_every_format_gives_what_the_model_gives(tiny, file_format):
    """On more and other images than it was made with."""
    end = FORMATS[file_format].end
    path = write(tiny, f'{file_format}{end}', file_format)
    run = FORMATS[file_format].run(path)
    model = tiny[2]
    for shape in ((1, SIZE, SIZE), (5, SIZE, SIZE), (2, 90, 70)):
        batch = torch.randint(0, 256, (shape[0], 3, *shape[1:]), dtype=torch.uint8)
        scores, best, classes, maps = map(torch.from_numpy, run(batch.numpy()))
        views = torch.nn.functional.interpolate(
            batch.float(), (SIZE, SIZE), mode='bilinear', antialias=True
        )  # the preprocessor takes BGR
        with torch.no_grad():
            views = model.data_preprocessor(dict(inputs=views.flip(1)))['inputs']
            samples = model.predict(views, test_cfg=dict(map_label='pred'))
            each = model.class_maps(views, classes)
        for sample, score, one, two in zip(samples, scores, best, classes):
            torch.testing.assert_close(score, sample.pred_score, atol=1e-4, rtol=0)
            torch.testing.assert_close(one, sample.pred_map, atol=1e-4, rtol=0)
            assert two.tolist() == sample.pred_score.topk(2).indices.tolist()
        torch.testing.assert_close(maps, each, atol=1e-4, rtol=0)


def test_the_inferencer_takes_it(tiny):
    """As it takes the checkpoint: boxes, masks, drawings; other K and thresholds."""
    path = write(tiny)
    inputs = images((60, 80), (SIZE, SIZE), (120, 50))
    ours = WSOLInferencer(path, show_progress=False)
    theirs = WSOLInferencer(str(tiny[0] / 'tiny.pth'), show_progress=False)
    assert ours.classes == theirs.classes
    assert ours.test_options.replace(map_label='gt') == theirs.test_options
    for options in ({}, dict(topk=1, threshold=0.6, return_mask=True, multi=True)):
        for a, b in zip(ours(inputs, **options), theirs(inputs, **options)):
            np.testing.assert_allclose(a['scores'], b['scores'], atol=1e-4)
            np.testing.assert_allclose(a['loc_map'], b['loc_map'], atol=1e-3)
            np.testing.assert_array_equal(a['bbox'], b['bbox'])
            assert a['pred_class'] == b['pred_class']
    (drawn,) = ours(inputs[:1], show_dir=tiny[0] / 'drawn')
    assert drawn['vis_path'].endswith('.jpg')


def test_maps_of_all_classes(tiny):
    path = write(tiny, 'all.onnx', every=True)
    ours = WSOLInferencer(path)
    theirs = WSOLInferencer(str(tiny[0] / 'tiny.pth'))
    (inputs,) = images((60, 80))
    for options in (dict(classes=['grey cat', 0]), dict(topk=3), dict(labels=[1])):
        (a,), (b,) = ours(inputs, **options), theirs(inputs, **options)
        np.testing.assert_array_equal(a['bbox'], b['bbox'])
        for one, two in zip(a.get('asked', ()), b.get('asked', ()), strict=True):
            assert one['class'] == two['class']
            np.testing.assert_allclose(one['loc_map'], two['loc_map'], atol=1e-3)
    with pytest.raises(ValueError, match='2 best classes alone.*--maps all, or a'):
        WSOLInferencer(write(tiny))(inputs, topk=3)


def test_what_does_not_belong_together(tiny, tmp_path):
    path = write(tiny)
    with pytest.raises(ValueError, match='is a whole model: give no config'):
        WSOLInferencer('cam_vgg16_cub', path)
    with pytest.raises(ValueError, match='is a whole model'):
        WSOLInferencer(tiny[1], path)
    with pytest.raises(ValueError, match='sees whole images .--view full.'):
        WSOLInferencer(path, view='test')
    with pytest.raises(FileNotFoundError, match='no exported model .*none.onnx'):
        WSOLInferencer(str(tmp_path / 'none.onnx'))
    import onnx

    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.save(proto, str(tmp_path / 'other.onnx'))
    with pytest.raises(ValueError, match='write it by `bas-mm export-model`'):
        WSOLInferencer(str(tmp_path / 'other.onnx'))


def test_other_numbers_are_refused(tiny, tmp_path, monkeypatch):
    def run(path):
        return lambda x: [
            np.nan * np.ones(1), *([y.numpy() for y in graph(torch.from_numpy(x))][1:])
        ]  # fmt: skip

    _, cfg, model = tiny
    graph = Graph(model, (SIZE, SIZE), 2, False).eval()
    kind = FORMATS['pt2']._replace(run=run)
    monkeypatch.setitem(deploy.FORMATS, 'pt2', kind)
    (tmp_path / 'a.pt2').write_text('what was there')
    with pytest.raises(ValueError, match='other numbers than the model .*try another'):
        export_model(cfg, model, list(CLASSES), str(tmp_path / 'a.pt2'), 'pt2')
    assert [path.name for path in tmp_path.iterdir()] == ['a.pt2']
    assert (tmp_path / 'a.pt2').read_text() == 'what was there'


def test_a_missing_package(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    _, cfg, model = tiny
    with pytest.raises(
        ImportError, match=r"needs the package onnxscript: .*\[deploy\]"
    ):
        export_model(cfg, model, list(CLASSES), str(tmp_path / 'a.onnx'), 'onnx')


def test_the_recipe_runs_without_the_package(tiny, tmp_path):
    """In an empty folder, in a Python that cannot see bas_mm or torch."""
    path = write(tiny)
    import cv2

    photo = str(tmp_path / 'photo.png')
    (image,) = images((SIZE, SIZE))
    cv2.imwrite(photo, image)
    beside = tiny[0] / 'best_recipe.py'
    shutil.copyfile(beside, tmp_path / 'recipe.py')
    code = (
        'import sys; sys.modules["torch"] = sys.modules["bas_mm"] = None\n'
        'import recipe\n'
        f'recipe.main([{path!r}, {photo!r}])\n'
        f'print(recipe.localize(*recipe.load({path!r}), '
        f'recipe.cv2.imread({photo!r}))["bbox"].tolist())'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().splitlines()
    (theirs,) = WSOLInferencer(str(tiny[0] / 'tiny.pth'))(image)
    assert first.startswith(f'{photo}: {theirs["pred_class"]} (')
    assert second == str(theirs['bbox'].tolist())


@pytest.mark.parametrize(
    ('threshold', 'percentile', 'share'),
    [(0.3, None, 1), (0.4, 90, 1), ('otsu', None, 1), ('auto', None, 0.65)],
)
def test_the_boxes_of_the_recipe(threshold, percentile, share):
    """Those of the package, which finds them another way."""
    rng = np.random.default_rng(1)
    about = dict(
        size=[40, 60], threshold=threshold, percentile=percentile, otsu_share=share
    )
    frame = ViewFrame((40, 60), (80, 90), np.array([60 / 90, 0.5]), np.zeros(2))
    for _ in range(40):
        one = rng.random((5, 6)).astype(np.float32) ** 3
        boxes, _, _ = frame.places(one, threshold, percentile)
        found = recipe.find_box(one, (80, 90), about)
        np.testing.assert_allclose(found, boxes[0], rtol=1e-6)
    flat = np.ones((5, 6), np.float32)
    assert recipe.find_box(flat, (80, 90), about).tolist() == [0, 0, 90, 80]
    flat[0, 0] = np.nan
    assert recipe.find_box(flat, (80, 90), about).tolist() == [0, 0, 90, 80]


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        'bas_vgg16_cub',
        'bas_resnet50_cub',
        'bas_inception-v3_cub',
        'bas_mobilenet-v1_cub',
        'bas_efficientnet-lite0_cub',
    ],
)
def test_onnx_of_every_trunk(name, tmp_path):
    """BAS, whose maps come from a product with the filters of the best classes."""
    cfg = Config.fromfile(find_config(name))
    cfg.model.backbone.init_cfg = None
    cfg.model.head.update(num_classes=7, topk=2)
    cfg.test_dataloader.dataset.pipeline = [
        dict(type='Resize', scale=(96, 96), keep_ratio=False),
        dict(type='bas_mm.PackLocInputs'),
    ]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model).eval()
    classes = list(map(str, range(7)))
    path = str(tmp_path / 'model.onnx')
    worst, _ = export_model(cfg, model, classes, path, 'onnx')
    assert max(worst.values()) <= 1e-4 and worst['classes'] == 0
