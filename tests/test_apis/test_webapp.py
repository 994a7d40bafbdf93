"""What the page shows, and the page where gradio is."""

import sys
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest

import bas_mm
from bas_mm.apis import webapp
from tests.helpers.inference import make_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp('webapp'))


@pytest.fixture(scope='module')
def inferencer(folder):
    return bas_mm.WSOLInferencer(folder / 'tiny.pth', show_progress=False)


def test_answers(inferencer, folder):
    path = str(folder / 'data' / 'a' / '0.png')
    overlay, mask, scores, text = webapp.answer(
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
    tight = webapp.answer(inferencer, path, 0.9, webapp.BEST, False)
    assert tight[3] != text
    for label in range(3):
        asked = webapp.answer(inferencer, path, 0.3, label, True)
        assert asked[3].startswith('abc'[label]) and asked[2] == scores
    assert webapp.answer(inferencer, None, 0.3, webapp.BEST, False) == (
        None,
        None,
        {},
        '',
    )


def test_mask_is_shown_over_the_image():
    image = np.zeros((10, 20, 3), np.uint8)
    image[..., 0] = 200  # blue
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:9] = True
    shown = webapp.cut_out(image, mask)
    assert shown[3, 4].tolist() == [0, 0, 200]
    assert (shown[~mask] >= 220).all()
    assert webapp.cut_out(image, mask, longest=10).shape == (5, 10, 3)


def test_choices(inferencer):
    assert webapp.list_choices(inferencer)[1:] == [('a', 0), ('b', 1), ('c', 2)]
    exported = mock.Mock(classes=['a', 'b', 'c'])
    exported.model.about = dict(maps='best')
    ((name, index),) = webapp.list_choices(exported)
    assert '--maps all' in name and index == webapp.BEST
    exported.model.about = dict(maps='all')
    assert len(webapp.list_choices(exported)) == 4


def test_missing_gradio_is_named():
    with mock.patch.dict(sys.modules, gradio=None):
        with pytest.raises(ImportError, match=r"pip install .bas-mm\[webapp\]"):
            webapp.import_gradio()


def test_page(inferencer):
    pytest.importorskip('gradio')
    page = webapp.build_page(inferencer)
    assert {'image', 'slider', 'dropdown', 'checkbox'} <= {
        block.get_block_name() for block in page.blocks.values()
    }
    assert not page.analytics_enabled


def test_own_threshold_by_a_rule(inferencer, folder, monkeypatch):
    pytest.importorskip('gradio')
    monkeypatch.setattr(inferencer.model.head, 'threshold', 'otsu')
    page = webapp.build_page(inferencer)
    named = {
        name: [x for x in page.blocks.values() if x.get_block_name() == name]
        for name in ('slider', 'checkbox')
    }
    (slider,), (rule, _) = named['slider'], named['checkbox']
    assert 0 < slider.value < 1 and 'otsu' in slider.label
    assert rule.value and "the rule 'otsu'" in rule.label
    path = str(folder / 'data' / 'a' / '0.png')
    (expected,) = inferencer(path)
    *functions, moved = sorted(page.fns.values(), key=lambda x: len(x.inputs))[::-1]
    assert moved.fn() is False and moved.outputs == [rule]
    assert [len(x.inputs) for x in functions] == [5] * 4 + [4]
    for function in functions:
        text = function.fn(path, slider.value, webapp.BEST, False, True)[-1]
        assert text == webapp.describe(expected)
    cut = functions[-1].fn(path, slider.value, webapp.BEST, False)[-1]
    (other,) = inferencer(path, threshold=slider.value)
    assert cut == webapp.describe(other) != webapp.describe(expected)


def test_several_users_at_once(inferencer, folder):
    """Each gets what it would get alone: no request changes the model."""
    requests = [
        (str(folder / 'data' / 'abc'[i] / f'{2 * i}.png'), threshold, choice, multi)
        for i in range(3)
        for threshold in (0.2, 0.5, 0.8)
        for choice in (webapp.BEST, 0, 2)
        for multi in (False, True)
    ]
    alone = [webapp.answer(inferencer, *request) for request in requests]
    with ThreadPoolExecutor(6) as pool:
        together = list(
            pool.map(lambda request: webapp.answer(inferencer, *request), requests)
        )
    assert len({text for *_, text in alone}) > 20
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
        assert one[2:] == other[2:]


def test_page_answers_and_reports(inferencer, folder):
    """The page's own function: an answer, or the error in words."""
    gradio = pytest.importorskip('gradio')
    functions = list(webapp.build_page(inferencer).fns.values())
    assert [f.concurrency_limit for f in functions] == [webapp.PARALLEL] * 4
    (folder / 'bad.png').write_bytes(b'no image')
    for function in functions:
        *_, text = function.fn(str(folder / 'data' / 'a' / '0.png'), 0.3, 1, False)
        assert text.startswith('b, score')
        with pytest.raises(gradio.Error, match='bad.png'):
            function.fn(str(folder / 'bad.png'), 0.3, 1, False)
