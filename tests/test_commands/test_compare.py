import argparse

import cv2
import numpy as np
import pytest

from bas_mm.analysis.side_by_side import draw_run, make_sheet
from bas_mm.commands.compare import parse_run
from bas_mm.utils.configs import read_config
from tests.helpers.report import call, make_data, make_network


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('compare')
    make_data(folder)
    for method in ('CAM', 'BAS'):
        make_network(folder, method.lower(), method)
    return folder


@pytest.fixture
def runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return ['cam.py:cam.pth', 'bas.py:bas.pth']


def test_the_sheet_is_written(runs, tmp_path, capsys):
    out = tmp_path / 'new' / 'sheet.png'
    words = ('--names', 'A', 'B', '--num', 3, '--data-root', 'data', '--out', out)
    call('compare', *runs, *words)
    assert f'2 runs, 3 images: {out}' in capsys.readouterr().out
    rows = [
        draw_run(read_config(f'{x}.py', 'data'), f'{x}.pth', 3)[0]
        for x in ('cam', 'bas')
    ]
    found = cv2.imread(str(out))[..., ::-1].astype(int)
    np.testing.assert_allclose(found, make_sheet(rows, ['A', 'B']), atol=3)


def test_chosen_images(runs, tmp_path, capsys):
    out = tmp_path / 'sheet.png'
    words = (runs[0], '--data-root', 'data', '--out', out)
    call('compare', *words, '--indices', 7, 2)
    assert out.is_file()
    assert '1 run, 2 images: ' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='--indices must be 0 to 8'):
        call('compare', *words, '--indices', 9)
    with pytest.raises(SystemExit, match='At least 1 image'):
        call('compare', *words, '--num', 0)


def test_runs_of_other_images(runs, folder, tmp_path):
    other = tmp_path / 'other.py'
    other.write_text(
        f'_base_ = {str(folder / "cam.py")!r}\n'
        'test_dataloader = dict(dataset=dict(indices=[4]))\n'
    )
    words = (runs[0], f'{other}:cam.pth', '--data-root', 'data', '--num', 1)
    with pytest.raises(SystemExit, match='other.py tests on other images than cam.py'):
        call('compare', *words, '--out', tmp_path / 'sheet.png')


@pytest.mark.parametrize(
    'text, expected',
    [
        ('a/b.py:c/d.pth', ('a/b.py', 'c/d.pth')),
        (r'C:\a.py:D:\b.pth', (r'C:\a.py', r'D:\b.pth')),
        ('a.py:https://x/y.pth', ('a.py', 'https://x/y.pth')),
        ('bas_vgg16_cub:b.pth', ('bas_vgg16_cub', 'b.pth')),
        (
            'cam_efficientnet-lite0_cub:D:\\b.pth',
            ('cam_efficientnet-lite0_cub', 'D:\\b.pth'),
        ),
    ],
)
def test_parse_run(text, expected):
    assert parse_run(text) == expected


@pytest.mark.parametrize('text', ['a.py', 'a.py:', 'https://x/y.pth', r'C:\b.pth'])
def test_what_is_no_run(text):
    with pytest.raises(argparse.ArgumentTypeError, match='is not CONFIG:CHECKPOINT'):
        parse_run(text)


@pytest.mark.parametrize(
    'words, message',
    [
        (['a.py'], "'a.py' is not CONFIG:CHECKPOINT"),
        (['a.py:b.pth', '--names', 'x', 'y'], 'one name for each of the 1 runs'),
        (['a.py:b.pth', '--out', 'cmp.xyz'], '(.png, .jpg, ...), got cmp.xyz'),
        (['a.py:b.pth', '--out', 'cmp'], '(.png, .jpg, ...), got cmp'),
    ],
)
def test_wrong_command(capsys, words, message):
    with pytest.raises(SystemExit):
        call('compare', *words)
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_is_told_first(tmp_path):
    (tmp_path / 'file').write_text('')
    for out, fault in ((tmp_path, 'is a folder'), (tmp_path / 'file/x.png', 'not a f')):
        with pytest.raises(SystemExit, match=f'cannot be written: .*{fault}.*--out'):
            call('compare', 'no.py:no.pth', '--out', out)
