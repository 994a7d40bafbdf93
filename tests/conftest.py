import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def forget_scope():
    """A runner leaves its default scope behind; no test may lean on it."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()
