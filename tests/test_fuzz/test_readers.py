"""Readers of strangers' files: they read, or say in words what is wrong.

Whatever the content, a reader ends in a value that is what it promises, or in
an error that names the file. ``FUZZ_EXAMPLES`` says how many files each reader gets.
"""

import io
import json
import os
import zipfile

import numpy as np
import pytest

hypothesis = pytest.importorskip('hypothesis')

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from bas_mm.apis import stored_config  # noqa: E402
from bas_mm.apis.stored_config import read_literal  # noqa: E402
from bas_mm.datasets.annotations import (  # noqa: E402
    read_coco_boxes,
    read_table,
    read_voc_boxes,
)
from bas_mm.evaluation.saved_maps import SavedMaps, read_images  # noqa: E402
from bas_mm.evaluation.scores import ScoreFile  # noqa: E402

EXAMPLES = int(os.environ.get('FUZZ_EXAMPLES', 150))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ODD = ['nan', 'inf', '-1', '1e999', '0', '٣', '', ' ', '1,2', '\ufeff', '1_0', '\x85']
WORDS = st.one_of(
    st.sampled_from(ODD), st.integers(-9, 10**20).map(str), st.floats().map(str)
)
#: Lines of words, nearly what a table looks like, and any text.
TABLES = st.one_of(
    st.lists(st.lists(WORDS, max_size=6).map(' '.join), max_size=6).map('\n'.join),
    st.text(max_size=60),
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=8,
)


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def refused(error, path):
    """The error is for a person: words, and the file."""
    assert os.path.basename(path) in str(error), error


@fuzz
@given(TABLES.map(str.encode) | st.binary(max_size=60))
def test_tables_of_cub(tmp_path, content):
    path = write(tmp_path / 'boxes.txt', content)
    try:
        table = read_table(path, (float,) * 4, 'id x y w h')
    except ValueError as error:
        refused(error, path)
    else:
        assert all(
            type(key) is int and len(row) == 4 and {*map(type, row)} == {float}
            for key, row in table.items()
        )


BOX = st.fixed_dictionaries(
    {}, optional={k: WORDS for k in ('xmin', 'ymin', 'xmax', 'ymax')}
)


def as_xml(boxes, size, junk):
    def tags(values):
        return ''.join(f'<{k}>{v}</{k}>' for k, v in values.items())

    objects = ''.join(f'<object><bndbox>{tags(box)}</bndbox></object>' for box in boxes)
    return f'<annotation><size>{tags(size)}</size>{objects}{junk}</annotation>'


SIZE = st.fixed_dictionaries({}, optional={'width': WORDS, 'height': WORDS})
XML = st.builds(as_xml, st.lists(BOX, max_size=3), SIZE, st.text(max_size=8))


@fuzz
@given(XML.map(lambda text: text.encode('utf-8', 'replace')) | st.binary(max_size=60))
def test_voc(tmp_path, content):
    path = write(tmp_path / 'a.xml', content)
    try:
        boxes, size = read_voc_boxes(path)
    except ValueError as error:
        refused(error, path)
    else:
        assert boxes.shape[1:] == (4,) and boxes.dtype == np.float32
        assert size is None or {*map(type, size)} == {int}


IMAGE = st.fixed_dictionaries(
    {}, optional=dict(id=VALUES, file_name=VALUES, width=VALUES, height=VALUES)
)
ANNOTATION = st.fixed_dictionaries(
    {}, optional=dict(image_id=VALUES, bbox=VALUES, iscrowd=VALUES)
)
GOOD_IMAGE = st.builds(
    lambda i, name: dict(id=i, file_name=name, width=9, height=9),
    st.integers(0, 2),
    st.text(max_size=4),
)
GOOD_BOX = st.builds(
    lambda i, box: dict(image_id=i, bbox=box),
    st.integers(0, 3),
    st.lists(st.floats() | st.integers() | st.text(max_size=2), min_size=4, max_size=4),
)
COCO = VALUES | st.fixed_dictionaries(
    dict(
        images=VALUES | st.lists(IMAGE | GOOD_IMAGE, max_size=3),
        annotations=VALUES | st.lists(ANNOTATION | GOOD_BOX, max_size=3),
    )
)


@fuzz
@given(COCO.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_coco(tmp_path, content):
    path = write(tmp_path / 'b.json', content)
    try:
        found, orphans = read_coco_boxes(path)
    except ValueError as error:
        refused(error, path)
    else:
        for image in found:
            assert isinstance(image.name, str) and image.boxes.shape[1:] == (4,)
        assert isinstance(orphans, list)


ENTRY = st.fixed_dictionaries(
    dict(image=st.text(min_size=1, max_size=4)),
    optional=dict(
        label=VALUES, labels=VALUES, width=VALUES, height=VALUES, boxes=VALUES
    ),
)


@fuzz
@given((VALUES | st.lists(ENTRY, max_size=3)).map(json.dumps))
def test_images_in_json(tmp_path, text):
    path = write(tmp_path / 'boxes.json', text)
    try:
        images = read_images(path)
    except ValueError as error:
        refused(error, path)
    else:
        assert images and all(type(x) is int for i in images for x in i['labels'])


ROWS = st.lists(st.lists(WORDS | st.just('a'), max_size=9).map(','.join), max_size=4)


@fuzz
@given(
    ROWS.map(lambda rows: '\n'.join(['image,label,width,height,x0,y0,x1,y1', *rows]))
    | st.text(max_size=60)
)
def test_images_in_csv(tmp_path, text):
    path = write(tmp_path / 'boxes.csv', text.encode('utf-8', 'replace'))
    try:
        images = read_images(path)
    except ValueError as error:
        refused(error, path)
    else:
        assert all(len(box) == 4 for image in images for box in image['boxes'])


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


ARRAYS = st.sampled_from(
    [
        npy(np.ones((2, 3))),
        npy(np.ones(3)),
        npy(np.array([{'a': 1}], object)),
        npy(np.full((1, 1), 'x')),
        npy(np.zeros((0, 4))),
        npy(np.ones((2, 2), complex)),
    ]
)
DAMAGED = st.builds(
    lambda data, at, byte: data[:at] + bytes([byte]) + data[at + 1 :],
    ARRAYS,
    st.integers(0, 127),
    st.integers(0, 255),
)
MAPS = ARRAYS | DAMAGED | st.binary(max_size=40)


@fuzz
@given(MAPS, st.booleans(), st.integers(0, 300))
def test_maps(tmp_path, content, archive, cut):
    folder = tmp_path / 'maps'
    folder.mkdir(exist_ok=True)
    place = write(folder / 'a.npy', content[: cut or None])
    if archive:
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w') as whole:
            whole.writestr('a.npy', content)
        data = file.getvalue()
        place = write(tmp_path / 'maps.npz', data[: len(data) - cut // 60])
    try:
        pred_map = SavedMaps(place if archive else folder)['a.jpg']
    except ValueError as error:
        refused(error, place if archive else str(folder))
    else:
        assert pred_map.ndim == 2 and pred_map.size and pred_map.dtype.kind in 'buif'


@fuzz
@given(
    (VALUES | st.dictionaries(st.text(min_size=1), VALUES, max_size=3)).map(json.dumps)
)
def test_scores_in_json(tmp_path, text):
    path = write(tmp_path / 's.json', text)
    try:
        scores = ScoreFile(path)
    except ValueError as error:
        refused(error, path)
    else:
        assert len(scores) > 0


PIECES = [
    'dict(', ')', '[', ']', '{', '}', '(', '**', '*', ',', ':', '=', "'a'", '1', '-',
    'inf', 'lambda: 0', '__import__("os").system("true")', 'set()', 'x', 'None', '.a',
    "type='bas_mm.CAMClassifier'", "type='torch.load'", 'b"1"', 'f"{1}"', '1e999',
]  # fmt: skip
CODE = st.lists(st.sampled_from(PIECES), max_size=12).map(''.join) | st.text(
    max_size=30
)


@fuzz
@given(CODE, CODE)
def test_stored_configs_are_data(model, pipeline):
    text = f'model = {model}\ntest_dataloader = dict(dataset=dict(pipeline={pipeline}))'
    try:
        cfg = stored_config(dict(meta=dict(cfg=text)), 'x.pth')
    except ValueError as error:
        refused(error, 'x.pth')
    else:
        assert plain(
            cfg.model.to_dict() if hasattr(cfg.model, 'to_dict') else cfg.model
        )


def plain(value):
    """Nothing but data is in a value."""
    if isinstance(value, dict):
        return all(map(plain, [*value.keys(), *value.values()]))
    if isinstance(value, (list, tuple, set)):
        return all(map(plain, value))
    return (
        value is None
        or value is ...
        or isinstance(value, (str, bytes, int, float, complex))
    )


@pytest.mark.parametrize('depth', [50, 5000])
def test_deep_nesting_ends_in_words(depth):
    """Of the parser or of the reader: no crash of the process."""
    text = f'model = {"[" * depth}{"]" * depth}'
    with pytest.raises(ValueError, match='x.pth'):
        stored_config(dict(meta=dict(cfg=text)), 'x.pth')
    assert callable(read_literal)
