import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from tests.helpers.inference import make_files


@pytest.fixture(autouse=True)
def no_scope():
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def files(tmp_path_factory):
    """A folder with a config file and a checkpoint that carries it."""
    return make_files(tmp_path_factory.mktemp('apis'))


@pytest.fixture
def make_image():
    """Makes a dark image with a bright rectangle, and the rectangle (xyxy)."""

    def make(height=120, width=200, box=(50, 30, 150, 90)):
        image = np.full((height, width, 3), 20, np.uint8)
        x0, y0, x1, y1 = box
        image[y0:y1, x0:x1] = 230
        return image, box

    return make


@pytest.fixture
def write(tmp_path):
    """Writes arrays as files."""

    def write(name, image):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)
        return str(path)

    return write
