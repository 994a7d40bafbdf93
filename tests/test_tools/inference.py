"""What the tests of the inference tools share."""

import runpy
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from mmengine.registry import DefaultScope

from ..test_apis.conftest import make_files

TOOLS = Path(__file__).parents[2] / 'tools'


def make(folder):
    """A config, a checkpoint, and pictures of three classes."""
    make_files(folder, ('a', 'b', 'c'))
    rng = np.random.default_rng(0)
    for i in range(6):
        path = folder / 'data' / 'abc'[i // 2] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (40 + i, 60, 3)).astype(np.uint8))
    return folder


def call(tool, *argv):
    """Run a tool in this process."""
    words = [tool, *map(str, argv)]
    try:
        with mock.patch.object(sys, 'argv', words):
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
    finally:
        DefaultScope._instance_dict.clear()
