"""Folders and files of data sets."""

import os
import os.path as osp

DATA_ROOT_HINT = (
    "give the folder with `--data-root DIR` or the field `data_root` of the "
    "data set's config"
)


def require_folder(data_root: str, *needed: str) -> str:
    """Check that a data root and the files it must hold exist.

    Args:
        data_root (str): The root folder; ``~`` is expanded.
        *needed (str): Files or folders, relative to ``data_root``.

    Returns:
        str: ``data_root``, expanded.

    Raises:
        FileNotFoundError: If the folder or one of ``needed`` is missing.
    """
    data_root = osp.expanduser(data_root)
    if not osp.isdir(data_root):
        raise FileNotFoundError(
            f'The data folder `{data_root}` does not exist: {DATA_ROOT_HINT}.'
        )
    for name in needed:
        if not osp.exists(osp.join(data_root, name)):
            raise FileNotFoundError(
                f'`{name}` is missing in the data folder `{data_root}`, which '
                f'must hold {", ".join(f"`{n}`" for n in needed)}: '
                f'{DATA_ROOT_HINT}.'
            )
    return data_root


def list_files(root: str, extension: str) -> dict[str, str]:
    """List a folder once, with all folders below it.

    Args:
        root (str): The folder.
        extension (str): The wanted extension, such as ``.xml``.

    Returns:
        dict[str, str]: From the path relative to ``root``, without its
        extension and with ``/``, to the full path.
    """
    return {
        osp.relpath(osp.join(folder, name), root)[: -len(extension)].replace(
            os.sep, '/'
        ): osp.join(folder, name)
        for folder, _, files in os.walk(root)
        for name in sorted(files)
        if name.lower().endswith(extension)
    }


def list_folders(root: str) -> list[str]:
    """Give the names of the folders in a folder, hidden ones left out."""
    with os.scandir(root) as entries:
        return [e.name for e in entries if e.is_dir() and not e.name.startswith('.')]
