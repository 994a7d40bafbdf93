import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def forget_scope():
    """A runner leaves its default scope behind; no test may lean on it."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def warnings(monkeypatch):
    """What is said to the log as a warning."""
    seen = []
    monkeypatch.setattr(
        MMLogger.get_current_instance(),
        'warning',
        lambda text, *args: seen.append(text),
    )
    return seen
