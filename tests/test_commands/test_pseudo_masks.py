"""``bas-mm pseudo-masks``."""

import cv2
import numpy as np
import pytest

import bas_mm
from bas_mm.datasets import LoadPseudoLabels
from bas_mm.localization import pseudo_mask
from tests.helpers.commands import call
from tests.helpers.inference import make_folder


def test_a_mask_for_each_training_image(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(make_folder(tmp_path))
    words = ('pseudo-masks', 'tiny.py', 'tiny.pth', '--data-root', 'data')
    call(*words, '--out', 'masks')
    assert capsys.readouterr().out.endswith('6 masks: masks\n')
    names = [f'{"abc"[i // 2]}/{i}.png' for i in range(6)]
    load = LoadPseudoLabels('masks')
    load.check_images(f'data/{name}' for name in names)
    inferencer = bas_mm.WSOLInferencer('tiny.pth', show_progress=False)
    for i, name in enumerate(names):
        # the map is that of the label
        (found,) = inferencer(f'data/{name}', classes=i // 2)
        mask = cv2.imread(f'masks/{name}.png', cv2.IMREAD_UNCHANGED)
        expected = pseudo_mask(found['loc_map'], found['ori_shape'])
        assert (mask != expected).mean() < 0.01  # batches round otherwise
        image = cv2.imread(f'data/{name}')
        out = load(dict(img=image, img_path=f'data/{name}'))
        assert np.array_equal(out['pseudo_mask'], mask)
    with pytest.raises(SystemExit, match='cannot be written.*--out'):
        call(*words, '--out', 'tiny.pth')
