import builtins
from pathlib import Path

import pytest
from mmengine.config import Config

import bas_mm
from bas_mm.utils import configs

EXAMPLE = """
num_classes_from_data = True
model = dict(head=dict(num_classes=2))
train_dataloader = dict(
    dataset=dict(type='bas_mm.CustomLocalization', split='train'))
test_dataloader = dict(
    dataset=dict(type='bas_mm.CustomLocalization', split='test'))
"""


def loader(*types, wrapper=None):
    datasets = [dict(type=name, data_root='old') for name in types]
    dataset = datasets[0]
    if wrapper:
        dataset = dict(type=wrapper, datasets=datasets)
    return dict(batch_size=1, num_workers=1, dataset=dataset)


def test_every_config_is_found_by_its_name():
    known = configs.list_configs()
    assert len(known) > 20 and not any(name.startswith('bas_mm') for name in known)
    seen = set()
    for name, path in known.items():
        folder = path.parent.name
        spellings = [name]
        if folder not in seen:  # one of each folder in every way
            seen.add(folder)
            spellings += [
                f'{name}.py',
                f'{folder}/{name}',
                f'configs/{folder}/{name}.py',
            ]
        for spelled in spellings:
            assert Path(configs.find_config(spelled)).samefile(path), spelled
    assert bas_mm.find_config('bas_vgg16_cub') == str(known['bas_vgg16_cub'])


def test_a_file_wins_over_a_name(tmp_path, monkeypatch):
    (tmp_path / 'bas_vgg16_cub').write_text('')
    monkeypatch.chdir(tmp_path)
    assert configs.find_config('bas_vgg16_cub') == 'bas_vgg16_cub'


@pytest.mark.parametrize('name', ['bas_vgg_cub', 'configs/bas/bas_vgg16_cbu.py'])
def test_an_unknown_config_names_the_nearest(name):
    with pytest.raises(
        FileNotFoundError, match=f'no config file {name!r}.*bas_vgg16_cub'
    ):
        configs.find_config(name)
    # a folder that is not the config's is no name of it
    with pytest.raises(FileNotFoundError, match='such as bas_vgg16_cub'):
        configs.find_config('cam/bas_vgg16_cub')


def test_a_config_of_ones_own_inherits_by_name(tmp_path):
    mine = tmp_path / 'mine.py'
    mine.write_text(
        "_base_ = __import__('bas_mm').find_config('cam_vgg16_cub')\n"
        'model = dict(head=dict(topk=7))\n'
    )
    cfg = configs.load_config_file(str(mine))
    assert cfg.model.head.topk == 7 and cfg.model.backbone.type == 'VGG'


def test_another_packages_config_without_pkg_resources(tmp_path, monkeypatch):
    """As setuptools 82 and later leave it."""
    mine = tmp_path / 'mine.py'
    mine.write_text("_base_ = 'mmpretrain::_base_/default_runtime.py'\n")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split('.')[0] == 'pkg_resources':
            raise ModuleNotFoundError('No module named pkg_resources', name=name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    try:
        cfg = configs.load_config_file(str(mine))
    except ModuleNotFoundError as error:  # the original mmengine
        assert "pip install 'setuptools<82'" in str(error)
        assert 'extra `onedl`' in str(error) and str(mine) in str(error)
    else:  # the maintained one does not need it
        assert cfg.default_scope == 'mmpretrain'


def test_data_root_reaches_every_data_set(tmp_path):
    repeated = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='ConcatDataset',
            datasets=[dict(type='A', data_root='old'), dict(type='B')],
        ),
    )
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=repeated),
            val_dataloader=[loader('C'), loader('D', 'E', wrapper='Concat')],
            test_dataloader=None,
        )
    )
    configs.set_data_root(cfg, str(tmp_path))
    inner = cfg.train_dataloader.dataset.dataset
    datasets = [
        *inner.datasets,
        cfg.val_dataloader[0].dataset,
        *cfg.val_dataloader[1].dataset.datasets,
    ]
    assert [d.type for d in datasets] == list('ABCDE')
    assert {d.data_root for d in datasets} == {str(tmp_path)}
    assert 'data_root' not in inner
    assert 'data_root' not in cfg.train_dataloader.dataset
    first = [configs.first_dataset(cfg[f'{s}_dataloader']) for s in ('train', 'val')]
    assert [d.type for d in first] == ['A', 'C']
    assert configs.first_dataset(cfg.test_dataloader) == {}
    assert configs.first_dataset([]) == configs.first_dataset({}) == {}


def test_data_root_that_is_missing(tmp_path):
    missing = str(tmp_path / 'missing')
    cfg = Config(dict(train_dataloader=loader('bas_mm.CUBLocalization')))
    with pytest.raises(FileNotFoundError, match='--data-root.*missing'):
        configs.set_data_root(cfg, missing)
    assert cfg.train_dataloader.dataset.data_root == 'old'
    toy = Config(dict(train_dataloader=loader('bas_mm.ToyLocalization')))
    configs.set_data_root(toy, missing)  # draws its images there
    assert toy.train_dataloader.dataset.data_root == missing


def test_data_root_without_data_sets(tmp_path):
    with pytest.raises(ValueError, match='no data set'):
        configs.set_data_root(Config(dict(model=dict())), str(tmp_path))


def make_folders(root, *splits):
    for name in ('a', 'b', 'c'):
        for split in splits:
            folder = root / split / name
            folder.mkdir(parents=True)
            (folder / 'x.jpg').touch()
    return str(root)


@pytest.mark.parametrize(
    ('options', 'expected'), [(None, 3), ({'model.head.num_classes': 7}, 7)]
)
def test_class_count_follows_the_folders(tmp_path, options, expected):
    data = make_folders(tmp_path / 'data', 'train', 'test')
    (tmp_path / 'config.py').write_text(EXAMPLE)
    for split in ('train', 'test'):
        cfg = configs.read_config(str(tmp_path / 'config.py'), data, options, split)
        assert cfg.model.head.num_classes == expected


def test_classes_are_counted_on_the_split_that_is_used(tmp_path):
    data = make_folders(tmp_path / 'data', 'test')
    (tmp_path / 'config.py').write_text(EXAMPLE)
    cfg = configs.read_config(str(tmp_path / 'config.py'), data, split='test')
    assert cfg.model.head.num_classes == 3
    assert len(configs.build_dataset(cfg, 'test', pipeline=[])) == 3
    with pytest.raises(FileNotFoundError, match='no folder `train`'):
        configs.read_config(str(tmp_path / 'config.py'), data, split='train')
    with pytest.raises(ValueError, match='has no `val_dataloader.dataset`'):
        configs.build_dataset(cfg, 'val')


def test_two_networks_get_the_classes_of_the_folders(tmp_path):
    data = make_folders(tmp_path / 'data', 'train', 'test')
    (tmp_path / 'two.py').write_text(
        EXAMPLE.replace(
            'model = dict(head=dict(num_classes=2))',
            'model = dict(localizer=dict(head=dict(num_classes=2)), '
            'classifier=dict(head=dict(num_classes=2)))',
        )
    )
    options = {'model.localizer.head.num_classes': 1}
    cfg = configs.read_config(str(tmp_path / 'two.py'), data, options)
    assert cfg.model.localizer.head.num_classes == 1
    assert cfg.model.classifier.head.num_classes == 3


def test_pseudo_labels_are_named_once():
    load = dict(type='bas_mm.LoadPseudoLabels', file='')
    dataset = dict(type='X', pipeline=[dict(type='Y'), load])
    cfg = Config(dict(pseudo_file='', train_dataloader=dict(dataset=dataset)))
    configs.settle(cfg, 'train')
    assert cfg.train_dataloader.dataset.pipeline[1].file == ''
    configs.settle(cfg, 'train', dict(pseudo_file='boxes.json'))
    assert cfg.train_dataloader.dataset.pipeline[1].file == 'boxes.json'
    cfg.train_dataloader.dataset.pipeline = [dict(type='Y')]
    with pytest.raises(ValueError, match='pseudo_file=boxes.json is read by nothing'):
        configs.settle(cfg, 'train')
