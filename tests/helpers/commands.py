"""Commands of ``bas-mm``, run in the process of the test."""

from mmengine.registry import DefaultScope

from bas_mm.commands import main


def call(command, *words):
    """Run a command; it leaves no default scope behind."""
    try:
        main([command, *map(str, words)])
    finally:
        DefaultScope._instance_dict.clear()
