"""Configs: where they are, how they are read, what options change in them."""

import difflib
import os.path as osp
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from bas_mm.utils.overrides import check_topk, merge_options
from bas_mm.utils.setting_types import check_types

#: Data sets that make their folder on first use.
SELF_MADE_DATASETS = ('ToyLocalization',)

#: What the name of a config file may end in.
CONFIG_EXTENSIONS = ('.py', '.json', '.yaml', '.yml')


def config_folder() -> Path:
    """Find the folder of the configs that come with the package.

    Returns:
        ``configs`` inside the installed package, or beside it in a clone.

    Raises:
        FileNotFoundError: If there is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / 'configs', package.parent / 'configs'):
        if (folder / '_base_').is_dir():
            return folder
    raise FileNotFoundError(
        f'The configs of bas_mm are neither in {package} nor beside it: install '
        'the package again.'
    )


def list_configs() -> dict[str, Path]:
    """List the configs that come with the package.

    Returns:
        From names, such as ``bas_vgg16_cub``, to files.
    """
    folder = config_folder()
    return {
        path.stem: path
        for path in sorted(folder.rglob('*.py'))
        if '_base_' not in path.relative_to(folder).parts
    }


def find_config(name: str) -> str:
    """Find a config by its path or its name.

    In a config of your own, ``_base_ = __import__('bas_mm').find_config(NAME)``
    inherits one that comes with the package.

    Args:
        name: Path of a file; or a config that comes with the package, by its
            name (``bas_vgg16_cub``) or by its path below ``configs``.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If there is neither; names the nearest ones.
    """
    if osp.isfile(name):
        return name
    known = list_configs()
    stem = osp.splitext(osp.basename(name))[0]
    near = difflib.get_close_matches(stem, known, n=3, cutoff=0.5)
    bare = name.removesuffix('.py').removeprefix('configs/')
    if stem in known and known[stem].with_suffix('').as_posix().endswith(f'/{bare}'):
        return str(known[stem])
    raise FileNotFoundError(
        f'There is no config file {name!r}, and no config of that name comes with '
        f'bas_mm. Give the path of a file, or a name such as '
        f'{", ".join(near or list(known)[:3])}.'
    )


def load_config_file(name: str) -> Config:
    """Read a config file, found by :func:`find_config`.

    Raises:
        FileNotFoundError: If it, or a file that it inherits, is missing.
        ModuleNotFoundError: If it inherits from another package
            (``mmpretrain::...``) and mmengine cannot look that up here.
        ValueError: If it is no Python.
    """
    path = find_config(name)
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        raise ValueError(
            f'The config {path} is no Python, line {error.lineno}: {error.msg}.'
        ) from error
    except ModuleNotFoundError as error:
        if error.name != 'pkg_resources':
            raise
        raise ModuleNotFoundError(
            f'{path} inherits from another package (`_base_ = "mmpretrain::..."`), '
            'for which this mmengine needs pkg_resources; setuptools 82 and later '
            "have it no more. Install `pip install 'setuptools<82'`, or take the "
            "maintained packages of the extra `onedl` (`pip install -e '.[onedl]'`).",
            name='pkg_resources',
        ) from error


def read_config(
    name: str,
    data_root: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    split: str = 'test',
) -> Config:
    """Read a config for a tool that needs no Runner, and set its scope.

    Args:
        name: See :func:`find_config`.
        data_root: See :func:`set_data_root`.
        cfg_options: Settings that win.
        split: Whose folders are the classes, where the config counts them in
            the data, see :func:`follow_classes`.

    Returns:
        The config.
    """
    cfg = load_config_file(name)
    if data_root is not None:
        set_data_root(cfg, data_root)
    settle(cfg, split, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    return cfg


def settle(
    cfg: Config, split: str, cfg_options: Mapping[str, Any] | None = None
) -> None:
    """Apply the options of the command line, and what follows from them, in place.

    Args:
        cfg: The config.
        split: Whose folders are the classes, see :func:`follow_classes`.
        cfg_options: Settings that win.

    Raises:
        ValueError: If there is no such setting, or one is not allowed.
    """
    check_types(cfg, cfg_options)
    merge_options(cfg, cfg_options)
    share_annotations(cfg)
    share_pseudo_labels(cfg)
    follow_classes(cfg, split, cfg_options)
    check_topk(cfg, cfg_options)


def share_annotations(cfg: Config) -> None:
    """Make ``box_file`` and ``mask_dir`` settings of the data, in place.

    Given on the top of the config, or to one of the data sets of a folder, they
    are those of validation and test; and for all of them, such a folder is no
    class.

    Raises:
        ValueError: If they are given on the top and no data set takes them.
    """
    loaders = {
        split: list(leaf_datasets(loader.get('dataset')))
        for split in ('train', 'val', 'test')
        if isinstance(loader := cfg.get(f'{split}_dataloader'), Mapping)
    }
    ours = [
        leaf
        for leaves in loaders.values()
        for leaf in leaves
        if str(leaf.get('type')).endswith('CustomLocalization')
    ]
    for name in ('box_file', 'mask_dir'):
        top = cfg.get(name)
        if top and not ours:
            raise ValueError(
                f'{name}={top} is for images of your own (CustomLocalization): the '
                'data sets of this config find their boxes and masks by themselves.'
            )
        for leaf in ours:
            same = [
                one for one in ours if one.get('data_root') == leaf.get('data_root')
            ]
            given = list(dict.fromkeys(one[name] for one in same if one.get(name)))
            given = given or ([top] if top else [])
            out = [one for one in given if one not in leaf.get('leave_out', ())]
            if out:
                leaf['leave_out'] = [*leaf.get('leave_out', ()), *out]
            if leaf.get(name) is None and len(given) == 1:
                if not any(leaf is one for one in loaders.get('train', ())):
                    leaf[name] = given[0]


def share_pseudo_labels(cfg: Config) -> None:
    """Give ``pseudo_file`` on the top of a config to what reads it, in place.

    Raises:
        ValueError: If nothing does.
    """
    file = cfg.get('pseudo_file')
    if not file:
        return
    readers = [reader for reader, _ in pseudo_readers(cfg.get('train_dataloader'))]
    if not readers:
        raise ValueError(
            f'pseudo_file={file} is read by nothing: the training pipeline of this '
            'config has no bas_mm.LoadPseudoLabels.'
        )
    for reader in readers:
        reader['file'] = file


def pseudo_readers(
    loader: Mapping[str, Any] | None,
) -> Iterator[tuple[dict[str, Any], str]]:
    """Find what reads the pseudo labels of a data loader.

    Args:
        loader: Its settings.

    Yields:
        The settings of each ``bas_mm.LoadPseudoLabels``, and which key of
        ``pseudo_bbox`` and ``pseudo_mask`` its pipeline hands on.

    Example:
        >>> pack = dict(type='bas_mm.PackLocInputs', algorithm_keys=('pseudo_mask',))
        >>> read = dict(type='bas_mm.LoadPseudoLabels', file='masks')
        >>> list(pseudo_readers(dict(dataset=dict(pipeline=[read, pack]))))
        [({'type': 'bas_mm.LoadPseudoLabels', 'file': 'masks'}, 'pseudo_mask')]
    """
    for leaf in leaf_datasets((loader or {}).get('dataset')):
        pipeline = leaf.get('pipeline') or ()
        keys = [key for one in pipeline for key in one.get('algorithm_keys', ())]
        for transform in pipeline:
            if str(transform.get('type')).endswith('LoadPseudoLabels'):
                masks = 'pseudo_mask' in keys
                yield transform, 'pseudo_mask' if masks else 'pseudo_bbox'


def follow_classes(
    cfg: Config, split: str = 'train', cfg_options: Mapping[str, Any] | None = None
) -> None:
    """Give the head as many classes as the data has, in place.

    Only where the config says ``num_classes_from_data = True`` (a folder for
    each class: the folders are the classes), and only if no option says
    another number.

    Args:
        cfg: The config.
        split: Whose classes count: 'train', 'val' or 'test'.
        cfg_options: Settings of the command line.
    """
    if not cfg.get('num_classes_from_data'):
        return
    keys = [f'{key}.num_classes' for key in head_keys(cfg.model)]
    keys = [key for key in keys if key not in (cfg_options or ())]
    if keys:
        dataset = build_dataset(cfg, split, pipeline=[])
        cfg.merge_from_dict(dict.fromkeys(keys, len(dataset.metainfo['classes'])))


def head_keys(model: Mapping[str, Any]) -> list[str]:
    """Tell where the config of a model has its heads that know classes.

    Of two networks, one may have none: its head takes no ``num_classes``.

    Example:
        >>> head_keys({'type': 'A', 'head': {}})
        ['model.head']
        >>> head_keys({'localizer': {'head': {}}, 'classifier': {'head': {}}})
        ['model.localizer.head', 'model.classifier.head']
        >>> head_keys({'localizer': {'head': {}}, 'classifier': {'head': \
{'num_classes': 2}}})
        ['model.classifier.head']
    """
    if 'head' in model:
        return ['model.head']
    heads = {
        f'model.{name}.head': part['head']
        for name, part in model.items()
        if isinstance(part, Mapping) and 'head' in part
    }
    return [key for key, head in heads.items() if 'num_classes' in head] or list(heads)


def build_dataset(cfg: Config, split: str, **settings: Any) -> Any:
    """Build the data set of a split, without what wraps it.

    Args:
        cfg: The config.
        split: 'train', 'val' or 'test'.
        **settings: Settings of the data set that win.

    Raises:
        ValueError: If the config has none.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = first_dataset(cfg.get(f'{split}_dataloader'))
    if not dataset:
        raise ValueError(
            f'The config {cfg.filename} has no `{split}_dataloader.dataset`: choose '
            'another split.'
        )
    return DATASETS.build(dict(dataset, **settings))


def set_data_root(cfg: Config, data_root: str) -> None:
    """Point every data set of a config at one folder, in place.

    Data sets inside wrappers (``RepeatDataset``, ``ConcatDataset``, ...) are
    found too.

    Args:
        cfg: The config.
        data_root: The folder.

    Raises:
        FileNotFoundError: If there is no such folder and some data set of
            the config does not make it on first use.
        ValueError: If the config has no data set.
    """
    datasets = [
        leaf
        for loader in dataloaders(cfg)
        for leaf in leaf_datasets(loader.get('dataset'))
    ]
    if not datasets:
        raise ValueError(
            f'--data-root {data_root} has nothing to point at: the config '
            f'{cfg.filename} has no data set in `train_dataloader`, '
            '`val_dataloader` or `test_dataloader`.'
        )
    needs_folder = any(
        str(dataset.get('type')).rsplit('.', 1)[-1] not in SELF_MADE_DATASETS
        for dataset in datasets
    )
    if needs_folder and not osp.isdir(data_root):
        raise FileNotFoundError(
            f'--data-root {data_root!r} is no folder (looked for '
            f'{osp.abspath(data_root)}). Give the folder that holds the data '
            'set, as the documentation describes it.'
        )
    for dataset in datasets:
        dataset['data_root'] = data_root


def dataloaders(cfg: Config) -> Iterator[ConfigDict]:
    """Give the data loader settings of a config; a field may hold several."""
    for field in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loaders = cfg.get(field)
        for loader in loaders if isinstance(loaders, (list, tuple)) else [loaders]:
            if loader is not None:
                yield loader


def leaf_datasets(dataset: Any) -> Iterator[ConfigDict]:
    """Give the settings of the data sets below any number of wrappers."""
    if not isinstance(dataset, dict):
        return
    inner = [*dataset.get('datasets', ()), dataset.get('dataset')]
    children = [child for child in inner if isinstance(child, dict)]
    for child in children:
        yield from leaf_datasets(child)
    if not children and dataset:
        yield dataset


def first_dataset(loader: Any) -> dict[str, Any]:
    """Find the settings of the first data set of a data loader.

    Args:
        loader: Settings of a data loader, a list of them, or None.

    Returns:
        Those of the data set; empty if there is none.
    """
    if isinstance(loader, (list, tuple)):
        loader = loader[0] if loader else None
    return next(leaf_datasets((loader or {}).get('dataset')), ConfigDict())
