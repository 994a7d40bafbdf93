"""Configs of ACoL, DANet, I2C and SPG."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.datasets.categories import CUB_CATEGORIES
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from bas_mm.models.heads.danet_head import check_levels

ROOT = Path(__file__).parents[2] / 'configs'
TRUNKS = dict.fromkeys(('acol', 'i2c', 'spg'), ('vgg16', 'resnet50', 'inception-v3'))
TRUNKS['danet'] = ('vgg16', 'inception-v3')
PATHS = {p.stem: p for m in TRUNKS for p in sorted((ROOT / m).glob('*.py'))}
LOSSES = dict(
    acol={'loss_cls', 'loss_erased'},
    danet={'loss_cls', 'loss_divergence'},
    i2c={'loss_cls', 'loss_local', 'loss_global'},
    spg={'loss_cls', 'loss_b1', 'loss_b2', 'loss_c'},
)


@pytest.fixture(autouse=True)
def scope(forget_scope):
    """Resolve stock types as the runner does."""
    init_default_scope('mmpretrain')


def load(name):
    return Config.fromfile(PATHS[name])


def build(cfg):
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


def test_the_set_is_complete():
    wanted = {
        f'{m}_{t}_{d}' for m in TRUNKS for t in TRUNKS[m] for d in ('cub', 'ilsvrc')
    }
    lite = ('cub', 'ilsvrc', 'toy', 'custom')
    wanted |= {f'{m}_efficientnet-lite0_{d}' for m in TRUNKS for d in lite}
    assert set(PATHS) == wanted


@pytest.mark.parametrize('name', PATHS)
def test_nothing_but_the_method_differs(name):
    method, rest = name.split('_', 1)
    cfg, cam = load(name), Config.fromfile(ROOT / 'cam' / f'cam_{rest}.py')
    if method == 'i2c':
        assert cfg.train_dataloader.pop('sampler').type == 'bas_mm.PairedClassSampler'
        cam.train_dataloader.pop('sampler')
        assert cfg.train_dataloader.batch_size % 2 == 0
        (loss,) = cfg.model.aux_losses
        assert 0 < loss.start_epoch < cfg.train_cfg.max_epochs
    for key in cam.keys() - {'model'}:
        assert cfg[key] == cam[key], key
    for key in ('backbone', 'data_preprocessor', 'type'):
        assert cfg.model[key] == cam.model[key], key
    assert {**cfg.model.neck, 'taps': 0} == {**cam.model.neck, 'taps': 0}
    for key in ('num_classes', 'in_channels', 'threshold'):
        assert cfg.model.head[key] == cam.model.head[key], key
    assert cfg.model.head.final_relu is False


def train_and_predict(name):
    """One step and one prediction; every parameter gets a gradient."""
    cfg, method = load(name), name.split('_')[0]
    model = build(cfg)
    for aux in model.aux_losses:
        aux.start_epoch = 0
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(1) for _ in range(2)],
    )
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert torch.isfinite(total)
    wanted = set(LOSSES[method])
    if cfg.model.head.get('levels'):
        wanted |= {'loss_level0', 'loss_level1'}
    assert {k for k in losses if 'loss' in k} == wanted
    for key, param in model.named_parameters():
        assert (param.grad is not None) == param.requires_grad, key
    model.eval()
    with torch.no_grad():
        out = model(**model.data_preprocessor(data), mode='predict')
    assert out[0].pred_score.shape == (cfg.model.head.num_classes,)
    assert out[0].pred_bbox.shape == (4,) and out[0].pred_map.ndim == 2


@pytest.mark.parametrize('name', [n for n in PATHS if 'lite0' in n])
def test_a_step_and_a_prediction(name):
    train_and_predict(name)


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in PATHS if 'lite0' not in n])
def test_a_step_and_a_prediction_on_the_trunks_of_the_paper(name):
    train_and_predict(name)


@pytest.mark.parametrize('name', ['acol_vgg16_cub', 'spg_vgg16_cub', 'danet_vgg16_cub'])
def test_new_layers_learn_at_ten_times_the_rate(name):
    cfg = load(name)
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(p): g['lr'] for g in optimizer.param_groups for p in g['params']}
    for key, param in model.named_parameters():
        new = 10 if key.startswith('head.') else 1
        bias = 2 if key.endswith('bias') else 1
        assert rates[id(param)] == pytest.approx(1e-3 * new * bias), key


@pytest.mark.parametrize('name', [n for n in PATHS if n.endswith('lite0_cub')])
def test_the_short_recipe_has_no_silent_layers(name):
    """Biases of 0.1 and small weights are for the classifier alone."""
    model = build(load(name))
    model.init_weights()
    for key, param in model.head.named_parameters():
        own = key.startswith(('classifier.', 'erased_head.'))
        if key.endswith('bias'):
            assert float(param.detach().mean()) == pytest.approx(0.1 if own else 0), key
        elif not own:
            assert param.abs().max() > 0.02, key


def test_the_options_of_the_readme():
    """A part of CUB: the first classes of the tree."""
    cfg = load('danet_efficientnet-lite0_cub')
    cfg.merge_from_dict({'model.head.num_classes': 6})
    head = build(cfg).head
    # three albatrosses, an ani, two auklets: three orders, three families
    assert head.ancestors[:2].unique(dim=1).shape == (2, 3)
    assert head.levels['level0_head'].num_classes == 3 * 4


def test_the_tree_of_birds():
    cfg = Config.fromfile(ROOT / '_base_' / 'trees' / 'cub.py')
    orders, families = cfg.cub_orders, cfg.cub_families
    assert len(orders) == len(families) == len(CUB_CATEGORIES) == 200
    assert (len(set(orders)), len(set(families))) == (13, 37)
    check_levels(cfg.cub_levels, 200)
    # by their English names, which the runs of the file do not know
    endings = {
        ('Warbler', 'Ovenbird', 'Redstart', 'Waterthrush', 'Yellowthroat'): 'Parulidae',
        ('Gull', 'Tern', 'Kittiwake'): 'Laridae',
        ('Blackbird', 'Oriole', 'Cowbird', 'Meadowlark', 'Grackle'): 'Icteridae',
        ('Woodpecker', 'Flicker'): 'Picidae',
        ('Flycatcher', 'Kingbird', 'Pewee', 'Sayornis'): 'Tyrannidae',
        ('Wren',): 'Troglodytidae',
        ('Vireo',): 'Vireonidae',
        ('Auklet', 'Guillemot', 'Puffin'): 'Alcidae',
        ('Hummingbird', 'Violetear'): 'Trochilidae',
        ('Kingfisher',): 'Alcedinidae',
        ('Swallow',): 'Hirundinidae',
        ('Grebe',): 'Podicipedidae',
        ('Crow', 'Raven', 'Jay', 'Nutcracker'): 'Corvidae',
        ('Mallard', 'Gadwall', 'Merganser'): 'Anatidae',
        ('Thrasher', 'Mockingbird', 'Gray_Catbird'): 'Mimidae',
        ('Cuckoo', 'Ani', 'Geococcyx'): 'Cuculidae',
        ('Nighthawk', 'Whip_poor_Will', 'Chuck_will_Widow'): 'Caprimulgidae',
        ('Towhee', 'Junco', 'Sparrow'): 'Passerellidae',
        ('Tanager', 'Cardinal', 'Bunting'): 'Cardinalidae',
        ('Goldfinch', 'Finch', 'Evening_Grosbeak', 'Pine_Grosbeak'): 'Fringillidae',
        ('Cormorant',): 'Phalacrocoracidae',
        ('Pelican',): 'Pelecanidae',
        ('Jaeger',): 'Stercorariidae',
        ('Shrike',): 'Laniidae',
        ('Waxwing',): 'Bombycillidae',
        ('Albatross',): 'Diomedeidae',
        ('House_Sparrow',): 'Passeridae',
    }
    checked = 0
    for name, family, order in zip(CUB_CATEGORIES, families, orders):
        found = [f for ends, f in endings.items() if name.endswith(ends)]
        if found:
            assert family == found[-1], name
            checked += 1
        songbird = family in ('Parulidae', 'Corvidae', 'Tyrannidae', 'Passeridae')
        assert not songbird or order == 'Passeriformes', name
    assert checked > 180
    order_of = dict(zip(families, orders))
    assert order_of['Laridae'] == order_of['Alcidae'] == order_of['Stercorariidae']
    assert order_of['Fregatidae'] == order_of['Phalacrocoracidae'] == 'Suliformes'


def test_configs_can_be_dumped():
    """As a checkpoint stores them, the tree included."""
    cfg = load('danet_vgg16_cub')
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert again.model == copy.deepcopy(cfg.model)
