"""Folders and files of data sets."""

import os
import os.path as osp
import re
from collections import defaultdict
from collections.abc import Iterable

from bas_mm.utils.files import IMG_EXTENSIONS
from bas_mm.utils.texts import plural

DATA_ROOT_HINT = (
    "give the folder with `--data-root DIR` or the field `data_root` of the "
    "data set's config"
)


def require_folder(data_root: str, *needed: str) -> str:
    """Check that a data root and the files it must hold exist.

    Args:
        data_root: The root folder; ``~`` is expanded.
        *needed: Files or folders, relative to ``data_root``.

    Returns:
        ``data_root``, expanded.

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
    """List a folder with all folders below it, each read once.

    Args:
        root: The folder; one that does not exist holds nothing.
        extension: The wanted extension in lower case, such as ``.xml``;
            case does not matter in the names.

    Returns:
        From the path relative to ``root``, without its extension and with
        ``/``, to the full path.
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
    """List the names of the folders in a folder, hidden ones left out."""
    with os.scandir(root) as entries:
        return [e.name for e in entries if e.is_dir() and not e.name.startswith('.')]


#: Usual names of folders of masks.
_MASKS = ('mask', 'masks', 'segmentation', 'segmentations', 'annotations')


def annotation_folders(
    root: str, names: Iterable[str], extensions: tuple[str, ...]
) -> dict[str, str]:
    """Find the folders of annotations, and of results, among those of classes.

    Results are what a command of bas-mm wrote there. A folder holds annotations
    if it has XML or json files and no image; PNG files alone in folders of which
    some are called as those beside it; or, where its name says so, PNG files alone,
    half of them or more under the names of images beside it.

    Args:
        root: The folder of all.
        names: Names of the folders in it.
        extensions: Of images, in lower case.

    Returns:
        From the name of a folder to what it holds.
    """
    names = set(names)
    found: dict[str, str] = {}
    for name in sorted(names):
        folder = osp.join(root, name)
        ends = _kinds(folder, extensions)
        if _holds_results(folder):
            found[name] = 'what bas-mm wrote'
        elif not ends & set(extensions):
            if ends & {'.xml', '.json'}:
                found[name] = 'files of boxes'
        elif ends == {'.png'} and len(names) > 1:
            beside, inner = names - {name}, set(list_folders(folder))
            mirrors = bool(inner & beside) and inner >= set(os.listdir(folder))
            if not mirrors and name.lower() in _MASKS:
                masks = list_files(folder, '.png').keys()
                mirrors = 2 * len(masks & _stems(root, beside, extensions)) >= len(
                    masks
                )
            if mirrors:
                found[name] = 'masks of the images beside'
    return found


def _holds_results(folder: str) -> bool:
    """Whether a folder holds a list of boxes, a sheet of drawings or checkpoints."""
    _, folders, names = next(os.walk(folder))
    if {'results.json', 'results.csv'} & set(names):
        return True
    if 'sheet.png' in names and any(re.match(r'\d{6}_', name) for name in names):
        return True
    inside = (name for one in folders for name in os.listdir(osp.join(folder, one)))
    return any(
        name == 'last_checkpoint' or name.endswith('.pth') for name in (*names, *inside)
    )


def _kinds(folder: str, extensions: tuple[str, ...]) -> set[str]:
    """List the extensions below a folder, up to the first image but PNG."""
    kinds: set[str] = set()
    for _, _, files in os.walk(folder):
        kinds.update(osp.splitext(name)[1].lower() for name in files)
        if kinds & set(extensions) - {'.png'}:
            break
    return kinds


def _stems(root: str, names: set[str], extensions: tuple[str, ...]) -> set[str]:
    """List the bare names, without extension, of the images of some folders."""
    return {
        osp.splitext(file)[0]
        for name in names
        for _, _, files in os.walk(osp.join(root, name))
        for file in files
        if file.lower().endswith(extensions)
    }


def require_class_folders(root: str) -> None:
    """Check that a folder has images, and each in a folder.

    Args:
        root: The folder.

    Raises:
        FileNotFoundError: If there is no image at all, or none in a folder.
    """
    wanted = (
        'a folder of images for each class is needed, DIR/<class>/*.jpg, or these in '
        'DIR/train/ and DIR/test/.'
    )
    loose = 0
    for folder, _, files in os.walk(root):
        count = sum(name.lower().endswith(IMG_EXTENSIONS) for name in files)
        if count and folder != root:
            return
        loose += count
    what = (
        f'has {plural(loose, "image")} and no folder of images'
        if loose
        else ('holds no image')
    )
    raise FileNotFoundError(f'{root!r} {what} ({", ".join(IMG_EXTENSIONS)}): {wanted}')


class ImageIndex:
    """Find an image by its path without extension, or its bare name.

    Args:
        names: Prefix, and path below it, of all images.
        folder: Name of the folder that they lie in.

    Example:
        >>> index = ImageIndex([('train/', 'cat/a.jpg')])
        >>> index.find('a', 'boxes'), index.find('train/cat/a', 'boxes')
        ('train/cat/a.jpg', 'train/cat/a.jpg')
        >>> index.find('b', 'boxes')
    """

    def __init__(self, names: Iterable[tuple[str, str]], folder: str = '') -> None:
        self._keys: dict[str, set[str]] = defaultdict(set)
        for prefix, name in names:
            stem = osp.splitext(name)[0]
            whole = f'{folder}/{prefix}{stem}'
            for alias in {stem, prefix + stem, osp.basename(stem), whole}:
                self._keys[alias].add(prefix + name)

    def find(self, stem: str, source: str, extension: str = '') -> str | None:
        """Give prefix and path of an image, None if there is none.

        Args:
            stem: Its name without extension.
            source: Where the name comes from, for the error.
            extension: That of its name, where there is one: of several images
                those with the same are taken.

        Raises:
            ValueError: If it may mean several images.
        """
        keys = self._keys.get(stem.removeprefix('./'), set())
        keys = {key for key in keys if osp.splitext(key)[1] == extension} or keys
        if len(keys) > 1:
            raise ValueError(
                f'{source}: `{stem}` may mean {sorted(keys)[:3]}: give the '
                'path, relative to the root folder and with its extension.'
            )
        return next(iter(keys), None)
