"""tools/webapp.py: what the page shows, and the page where gradio is."""

import importlib.util
import sys
from unittest import mock

import numpy as np
import pytest

import bas_mm

from .inference import TOOLS, make


@pytest.fixture(scope='module')
def webapp():
    spec = importlib.util.spec_from_file_location('webapp', TOOLS / 'webapp.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp('webapp'))


@pytest.fixture(scope='module')
def inferencer(folder):
    return bas_mm.WSOLInferencer(folder / 'tiny.pth', show_progress=False)


def test_answers(webapp, inferencer, folder):
    path = str(folder / 'data' / 'a' / '0.png')
    overlay, mask, scores, text = webapp.localize(
        inferencer, path, 0.3, webapp.BEST, False
    )
    (result,) = inferencer(path, threshold=0.3, return_mask=True)
    assert overlay.dtype == np.uint8 and overlay.shape[2] == 3
    assert mask.shape == (40, 60, 3)
    assert list(scores) == [
        inferencer.classes[i] for i in np.argsort(-result['scores'])
    ]
    x0, y0, x1, y1 = np.round(result['bbox']).astype(int)
    assert text.startswith(result['pred_class'])
    assert f'x {x0} to {x1}, y {y0} to {y1} (of 60 x 40 pixels)' in text
    tight = webapp.localize(inferencer, path, 0.9, webapp.BEST, False)
    assert tight[3] != text
    for label in range(3):
        asked = webapp.localize(inferencer, path, 0.3, label, True)
        assert asked[3].startswith('abc'[label]) and asked[2] == scores
    assert webapp.localize(inferencer, None, 0.3, webapp.BEST, False) == (
        None,
        None,
        {},
        '',
    )


def test_mask_is_shown_over_the_picture(webapp):
    image = np.zeros((10, 20, 3), np.uint8)
    image[..., 0] = 200  # blue
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:9] = True
    shown = webapp.cut_out(image, mask)
    assert shown[3, 4].tolist() == [0, 0, 200]
    assert (shown[~mask] >= 220).all()
    assert webapp.cut_out(image, mask, longest=10).shape == (5, 10, 3)


def test_choices(webapp, inferencer):
    assert webapp.choices(inferencer)[1:] == [('a', 0), ('b', 1), ('c', 2)]


def test_missing_gradio_is_named(webapp):
    with mock.patch.dict(sys.modules, gradio=None):
        with pytest.raises(ImportError, match=r"pip install .*\[webapp\]"):
            webapp.import_gradio()


def test_page(webapp, inferencer):
    pytest.importorskip('gradio')
    page = webapp.build_page(inferencer)
    assert {'image', 'slider', 'dropdown', 'checkbox'} <= {
        block.get_block_name() for block in page.blocks.values()
    }
    assert not page.analytics_enabled
