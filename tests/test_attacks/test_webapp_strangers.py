"""Strangers at the page, and images of nothing that the model knows."""

import json
import os
import struct
import zlib

import numpy as np
import pytest

import bas_mm
from bas_mm.apis import webapp
from bas_mm.apis.webapp import check_upload, warn_open
from bas_mm.commands import webapp as command
from tests.helpers.commands import call
from tests.helpers.inference import make_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp('strangers'))


@pytest.fixture(scope='module')
def inferencer(folder):
    return bas_mm.WSOLInferencer(folder / 'tiny.pth', show_progress=False)


def png(width, height):
    """The head of a PNG of so many pixels, and next to no data."""

    def chunk(kind, data):
        return (
            struct.pack('>I', len(data))
            + kind
            + data
            + struct.pack('>I', zlib.crc32(kind + data))
        )

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', b'')


@pytest.mark.parametrize(
    'size, said', [((9000, 9000), '9000 x 9000'), ((60000, 60000), 'far too many')]
)
def test_decompression_bombs_are_refused_before_they_are_decoded(
    inferencer, tmp_path, size, said
):
    (tmp_path / 'bomb.png').write_bytes(png(*size))
    with pytest.raises(ValueError, match=rf'bomb.png. has {said} pixels.*at most 50'):
        webapp.answer(inferencer, str(tmp_path / 'bomb.png'), 0.5, webapp.BEST, False)


@pytest.mark.parametrize(
    'content',
    [b'', b'no image', b'<svg/>', b'GIF89a', b'\x89PNG\r\n\x1a\n', b'%PDF-1.4'],
)
def test_files_that_are_no_image_are_answered_in_words(inferencer, tmp_path, content):
    gradio = pytest.importorskip('gradio')
    (tmp_path / 'bad.png').write_bytes(content)
    function = next(iter(webapp.build_page(inferencer).fns.values()))
    with pytest.raises(gradio.Error, match='bad.png') as error:
        function.fn(str(tmp_path / 'bad.png'), 0.3, 1, False)
    assert str(tmp_path) not in str(error.value)  # no path of the server


def test_a_cut_image_is_answered_in_words(inferencer, folder, tmp_path):
    whole = (folder / 'data' / 'a' / '0.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    check_upload(str(tmp_path / 'cut.png'))  # its head is good
    with pytest.raises(ValueError, match='cut.png.*cut off or damaged'):
        webapp.answer(inferencer, str(tmp_path / 'cut.png'), 0.5, webapp.BEST, False)


def test_the_upload_comes_as_it_is(inferencer):
    """What gradio would do to it first can fail without words."""
    pytest.importorskip('gradio')
    page = webapp.build_page(inferencer)
    (upload,) = [
        block
        for block in page.blocks.values()
        if block.get_block_name() == 'image' and block.label == 'Image'
    ]

    class Payload:
        path = 'x.png'

    assert upload.preprocess(Payload()) == 'x.png' and upload.preprocess(None) is None
    assert page.delete_cache == (webapp.LOOK, webapp.KEPT)


@pytest.mark.parametrize(
    'host, auth, said',
    [
        ('127.0.0.1', False, ''),
        ('::1', False, ''),
        ('localhost', False, ''),
        ('127.8.8.8', False, ''),
        ('0.0.0.0', False, 'to everybody: --auth USER:PASSWORD'),
        ('::', False, 'to everybody'),
        ('192.168.1.9', True, 'unencrypted.'),
        ('my.host', False, 'to everybody'),
    ],
)
def test_a_page_for_others_warns(host, auth, said):
    text = warn_open(host, auth)
    assert (said in text) if said else text == ''
    assert not (auth and 'everybody' in text)


class Page:
    """Stands in for the page; notes how it was started and where files go."""

    def __init__(self):
        self.files = os.environ.get('GRADIO_TEMP_DIR')

    def launch(self, **options):
        self.options = options
        with open(os.path.join(self.files, 'upload.png'), 'w'):
            pass

    def block_thread(self):
        raise KeyboardInterrupt


@pytest.fixture
def pages(monkeypatch):
    pages = []
    monkeypatch.setattr(command, 'import_gradio', lambda: None)
    monkeypatch.setattr(
        command, 'build_page', lambda *args: pages.append(Page()) or pages[-1]
    )
    monkeypatch.delenv('GRADIO_TEMP_DIR', raising=False)
    return pages


def test_limits_reach_the_page_and_its_files_go_with_it(folder, pages, capsys):
    words = ('--model', folder / 'tiny.pth', '--auth', 'me:a:b', '--host', '0.0.0.0')
    with pytest.raises(KeyboardInterrupt):
        call('webapp', *words, '--max-mb', 7, '--device', 'cpu')
    (page,) = pages
    assert page.options['auth'] == ('me', 'a:b')
    assert page.options['max_file_size'] == '7mb'
    assert 'bas_mm_page_' in page.files and not os.path.exists(page.files)
    assert 'open to the network' in capsys.readouterr().out


@pytest.mark.parametrize('auth', ['me', 'me:', ':secret', ':'])
def test_half_a_password_is_refused(folder, pages, auth):
    with pytest.raises(SystemExit, match='--auth must be USER:PASSWORD'):
        call('webapp', '--model', folder / 'tiny.pth', '--auth', auth)
    assert not pages


@pytest.mark.parametrize(
    'words, message',
    [
        (['--max-mb', '0'], '--max-mb must be at least 1, got 0'),
        (['--min-score', '2'], "--min-score: must be a number from 0 to 1, got '2'"),
        (['--min-score', 'x'], "must be a number from 0 to 1, got 'x'"),
    ],
)
def test_limits_that_are_none(capsys, words, message):
    with pytest.raises(SystemExit):
        call('webapp', *words)
    assert message in capsys.readouterr().err


# --- open sets


def test_below_the_score_there_is_no_object(inferencer, folder, tmp_path):
    path = str(folder / 'data' / 'a' / '0.png')
    options = dict(multi=True, return_mask=True, show_dir=tmp_path)
    (seen,) = inferencer(path, **options)
    (none,) = inferencer(path, **options, min_score=1.0)
    (same,) = inferencer(path, **options, min_score=seen['pred_score'])
    assert seen['has_object'] is same['has_object'] is True
    np.testing.assert_array_equal(same['bbox'], seen['bbox'])
    assert none['has_object'] is False and none['bbox'] is None
    assert len(none['bboxes']) == len(none['masks']) == 0 and not none['mask'].any()
    assert none['pred_class'] == seen['pred_class'] and os.path.isfile(none['vis_path'])
    (plain,) = inferencer(path, min_score=1.0)
    assert {'mask', 'masks', 'bboxes'}.isdisjoint(plain)
    with pytest.raises(ValueError, match='`min_score` must be from 0 to 1, got 3'):
        inferencer(path, min_score=3)


def test_of_asked_classes_those_below_have_none(inferencer, folder):
    path = str(folder / 'data' / 'a' / '0.png')
    (result,) = inferencer(path, classes=[0, 1, 2])
    scores = [one['score'] for one in result['asked']]
    (some,) = inferencer(path, classes=[0, 1, 2], min_score=max(scores))
    there = [one['has_object'] for one in some['asked']]
    assert there == [score == max(scores) for score in scores]


def test_localize_and_export_write_images_without_a_box(folder, tmp_path, capsys):
    data = folder / 'data'
    call(
        'localize', data, '--model', folder / 'tiny.pth', '--out-dir', tmp_path,
        '--min-score', 1, '--no-pictures',
    )  # fmt: skip
    coco = json.loads((tmp_path / 'results.json').read_text())
    assert len(coco['images']) == 6 and coco['annotations'] == []
    assert coco['info']['min_score'] == 1
    assert capsys.readouterr().out.count('no object (--min-score)') == 6
    call(
        'export', folder / 'tiny.py', folder / 'tiny.pth', '--data-root', data,
        '--out', tmp_path / 'b.json', '--min-score', 1, '--split', 'test',
    )  # fmt: skip
    coco = json.loads((tmp_path / 'b.json').read_text())
    assert coco['images'] and coco['annotations'] == []


def test_the_page_says_so(inferencer, folder):
    path = str(folder / 'data' / 'a' / '0.png')
    overlay, mask, _, text = webapp.answer(
        inferencer, path, 0.5, webapp.BEST, False, min_score=1.0
    )
    assert text.startswith('no object: the best class is ')
    assert overlay is not None and (mask >= 220).all()
