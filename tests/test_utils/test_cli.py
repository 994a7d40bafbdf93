import argparse

import numpy as np
import pytest
from mmengine.config import Config

from bas_mm.utils import cli


def parse(*argv):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def loader(*types, wrapper=None):
    datasets = [dict(type=name, data_root='old') for name in types]
    dataset = datasets[0]
    if wrapper:
        dataset = dict(type=wrapper, datasets=datasets)
    return dict(batch_size=1, num_workers=1, dataset=dataset)


@pytest.fixture
def config(tmp_path):
    def write(**fields):
        path = tmp_path / 'tiny.py'
        Config(fields).dump(path)
        return str(path)

    return write


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
    cli.set_data_root(cfg, str(tmp_path))
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


def test_data_root_that_is_missing(tmp_path):
    missing = str(tmp_path / 'missing')
    cfg = Config(dict(train_dataloader=loader('bas_mm.CUBLocalization')))
    with pytest.raises(FileNotFoundError, match='--data-root.*missing'):
        cli.set_data_root(cfg, missing)
    assert cfg.train_dataloader.dataset.data_root == 'old'
    toy = Config(dict(train_dataloader=loader('bas_mm.ToyLocalization')))
    cli.set_data_root(toy, missing)  # draws its pictures there
    assert toy.train_dataloader.dataset.data_root == missing


def test_data_root_without_data_sets(tmp_path):
    with pytest.raises(ValueError, match='no data set'):
        cli.set_data_root(Config(dict(model=dict())), str(tmp_path))


def test_load_config(config, tmp_path):
    path = config(train_dataloader=loader('A'), randomness=dict(seed=None))
    cfg = cli.load_config(parse(path))
    assert cfg.work_dir == './work_dirs/tiny'
    assert cfg.train_dataloader.dataset.data_root == 'old'
    assert cfg.randomness.seed is None
    cfg = cli.load_config(
        parse(path, '--work-dir', 'w', '--seed', '0', '--data-root', str(tmp_path))
    )
    assert (cfg.work_dir, cfg.randomness.seed) == ('w', 0)
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)


def test_work_dir_of_the_config_stays(config):
    path = config(work_dir='mine')
    assert cli.load_config(parse(path)).work_dir == 'mine'


def test_cfg_options_win(config, tmp_path):
    args = parse(
        config(train_dataloader=loader('A')),
        '--data-root',
        str(tmp_path),
        '--cfg-options',
        'train_dataloader.dataset.data_root=last',
        'train_dataloader.num_workers=0',
    )
    cfg = cli.load_config(args)
    cli.finish_config(cfg, args)
    assert cfg.train_dataloader.dataset.data_root == 'last'
    assert cfg.train_dataloader.persistent_workers is False


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_loader_defaults(config, monkeypatch, device):
    monkeypatch.setattr(cli, 'get_device', lambda: device)
    args = parse(config(train_dataloader=loader('A')))
    cfg = cli.load_config(args)
    cli.finish_config(cfg, args)
    assert cfg.train_dataloader.pin_memory is (device == 'cuda')
    assert cfg.train_dataloader.persistent_workers is True
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    args.no_pin_memory = True
    cli.finish_config(cfg, args)
    assert cfg.train_dataloader.pin_memory is False


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_gloo_where_there_is_no_gpu(config, monkeypatch, device):
    started = []
    monkeypatch.setattr(cli, 'get_device', lambda: device)
    monkeypatch.setattr(cli.dist, 'init_process_group', started.append)
    args = parse(
        config(model_wrapper_cfg=dict(broadcast_buffers=True)), '--launcher', 'pytorch'
    )
    cfg = cli.load_config(args)
    cli.finish_config(cfg, args)
    assert cfg.model_wrapper_cfg.broadcast_buffers is True
    if device == 'cpu':
        assert started == ['gloo']
        assert cfg.env_cfg.dist_cfg.backend == 'gloo'
        assert cfg.model_wrapper_cfg.device_ids is None
    else:
        assert started == []
        assert 'env_cfg' not in cfg
        assert 'device_ids' not in cfg.model_wrapper_cfg


def test_metrics_table():
    table = cli.format_metrics(
        {
            'wsol/gt_known': np.float32(91.0712),
            'wsol/images': 12,
            'wsol/note': 'best',
            'curve': np.arange(3),
        }
    )
    assert table.splitlines() == [
        'metric           value',
        '-------------  -------',
        'wsol/gt_known  91.0712',
        'wsol/images         12',
        'wsol/note         best',
    ]
    assert cli.format_metrics({}) == 'No metrics.'


@pytest.mark.parametrize(
    'options, expected',
    [
        (None, 3),
        ({'model.head.num_classes': 7}, 7),
    ],
)
def test_class_count_follows_the_folders(tmp_path, options, expected):
    for name in ('a', 'b', 'c'):
        for split in ('train', 'test'):
            folder = tmp_path / 'data' / split / name
            folder.mkdir(parents=True)
            (folder / 'x.jpg').touch()
    config = tmp_path / 'config.py'
    config.write_text("""
num_classes_from_data = True
model = dict(head=dict(num_classes=2))
train_dataloader = dict(
    dataset=dict(type='bas_mm.CustomLocalization', split='train'))
test_dataloader = dict(
    dataset=dict(type='bas_mm.CustomLocalization', split='test'))
""")
    cfg = cli.read_config(str(config), str(tmp_path / 'data'), options)
    assert cfg.model.head.num_classes == expected
    if options is None:
        cli.follow_classes(cfg, "test")
        assert cfg.model.head.num_classes == expected
