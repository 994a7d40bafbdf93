"""The attacks: what is done wrong, how, the call, and the line that must come."""

import json
import shutil

import numpy as np
import torch

from tests.helpers.data import voc, write_image, write_text

NAN = float('nan')


def spoil_weights(key, value=NAN):
    """Give what writes a checkpoint with a number that is none."""

    def make(b, x):
        state = torch.load(b / 'bas.pth')
        state[key].view(-1)[0] = value
        torch.save(state, x / 'bad.pth')

    return make


def cut(b, x):
    """Half a checkpoint."""
    content = (b / 'bas.pth').read_bytes()
    (x / 'bad.pth').write_bytes(content[: len(content) // 2])


def text(name, content):
    """Give what writes a text file."""
    return lambda b, x: write_text(x, name, text=content)


def hostile(b, x):
    """A checkpoint that would run a program."""

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (f'touch {x}/owned',)

    torch.save({'state_dict': Evil()}, x / 'bad.pth')


def copy_run(b, x):
    """The work dir of a training."""
    shutil.copytree(b / 'run', x / 'w')


def damage_newest(b, x):
    """A work dir whose newest checkpoint is half a file."""
    copy_run(b, x)
    content = (x / 'w' / 'epoch_1.pth').read_bytes()
    (x / 'w' / 'epoch_2.pth').write_bytes(content[: len(content) // 2])
    (x / 'w' / 'last_checkpoint').write_text(str(x / 'w' / 'epoch_2.pth'))


def maps(change):
    """Give what copies saved maps and spoils them."""

    def make(b, x):
        shutil.copytree(b / 'maps', x / 'maps')
        change(x)

    return make


def nan_map(x):
    """A map that is not finite."""
    file = sorted((x / 'maps').rglob('*.npy'))[0]
    np.save(file, np.full((7, 7), NAN, np.float32))


def write_scores(**changes):
    """Give what writes scores of the saved maps, some of them wrong."""

    def make(b, x):
        names = [one['image'] for one in json.loads((b / 'boxes.json').read_text())]
        scores = {name: [0.2, 0.8] for name in names}
        scores[names[0]] = changes['first']
        (x / 's.json').write_text(json.dumps(scores))

    return make


def own_images(x, *names):
    """Images of one's own, two classes."""
    for name in names or ('cat/a.jpg', 'cat/b.png', 'dog/c.jpg', 'dog/d.webp'):
        write_image(x, 'data', 'train', name)
        write_image(x, 'data', 'test', name)


def write_own(b, x, dataset="type='bas_mm.CustomLocalization'", classes=2, more=''):
    """A config of one's own data, which are in ``data``."""
    from tests.helpers.tiny import save

    content = (b / 'cam.py').read_text()
    start = content.index('dataset = dict(')
    end = content.index('train_dataloader = ')
    content = content.replace(
        content[start:end],
        f'dataset = dict({dataset}, data_root={str(x / "data")!r}, '
        f'pipeline=pipeline{more})\n',
    )
    content = content.replace('num_classes=3', f'num_classes={classes}')
    content = content.replace("'LoadImageFromFile'", "'bas_mm.LoadImageFromFile'")
    (x / 'own.py').write_text(content.replace('topk=2', 'topk=1'))
    save(x / 'own.py', x / 'own.pth')


def own(*names, spoil=None, **options):
    """Give what writes images of one's own and spoils them."""

    def make(b, x):
        own_images(x, *names)
        if spoil:
            spoil(x / 'data')
        write_own(b, x, **options)

    return make


def add_masks(data):
    """A folder of masks beside those of the classes."""
    for split in ('train', 'test'):
        for name in ('cat/a.png', 'cat/b.png', 'dog/c.png', 'dog/d.png'):
            write_image(data, split, 'masks', name)


def add_voc(data):
    """A folder of VOC files beside those of the classes."""
    for split in ('train', 'test'):
        write_text(data, split, 'boxes', 'a.xml', text=voc([(5, 6, 20, 20)]))


def spoil_image(content):
    """Give what puts something else into the file of an image."""

    def spoil(data):
        for split in ('train', 'test'):
            file = data / split / 'cat' / 'a.jpg'
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2] if content is None else content)

    return spoil


def cub(boxes, names='1 a/1.jpg\n2 b/2.jpg\n'):
    """Give what writes two images of CUB, and boxes."""

    def make(b, x):
        root = x / 'data'
        for i in (1, 2):
            write_image(root, 'images', 'ab'[i - 1], f'{i}.jpg')
        ids = range(1, len(names.splitlines()) + 1)
        write_text(root, 'images.txt', text=names)
        labels = ''.join(f'{i} {min(i, 2)}\n' for i in ids)
        write_text(root, 'image_class_labels.txt', text=labels)
        write_text(root, 'train_test_split.txt', text=''.join(f'{i} 0\n' for i in ids))
        write_text(root, 'classes.txt', text='1 001.a\n2 002.b\n')
        write_text(root, 'bounding_boxes.txt', text=boxes)
        write_own(b, x, "type='bas_mm.CUBLocalization'")

    return make


def bomb(b, x):
    """A small png that claims to have 3.6 gigapixels."""
    import struct
    import zlib

    def chunk(kind, content):
        body = kind + content
        return (
            struct.pack('>I', len(content)) + body + struct.pack('>I', zlib.crc32(body))
        )

    head = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    content = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head)
    content += chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
    (x / 'bomb.png').write_bytes(content)


def picture(b, x):
    """A good image."""
    write_image(x, 'a.jpg')


def two_classes(b, x):
    """A checkpoint of two classes."""
    write_own(b, x)


def thesis(b, x):
    """A folder of other things."""
    write_text(x, 'dump', 'thesis.tex', text='mine')


def stopped_dump(b, x):
    """What a test of other settings left."""
    write_text(x, 'dump', 'run.json', text='{}')
    write_text(x, 'dump', 'partial', 'run.json', text='{"config": "another"}')


TRAIN = 'train {b}/bas.py --work-dir {x}/w'
RESUME = 'train {b}/cam.py --work-dir {x}/w --seed 0 --resume'
TEST = 'test {b}/bas.py {x}/bad.pth --work-dir {x}/t'
BAS = 'test {b}/bas.py {b}/bas.pth --work-dir {x}/t'
OWN = 'test {x}/own.py {x}/own.pth --work-dir {x}/t'
EVAL = 'eval-maps {x}/maps {b}/boxes.json'
LOCALIZE = 'localize {x}/a.jpg --model {b}/bas.py --weights'
OUT = ' --out-dir {x}/o'


def option(name, setting, look):
    """An attack on one setting of the config."""
    return name, None, f'{TRAIN} --cfg-options {setting}', look


ATTACKS = [
    # nothing lost
    ('resume in an empty folder', None, RESUME, 'no checkpoint to go on from'),
    ('resume with another rate', copy_run,
     f'{RESUME} --cfg-options optim_wrapper.optimizer.lr=0.5', r'lr: 0.01 -> 0.5'),
    ('resume with another batch size', copy_run,
     f'{RESUME} --cfg-options train_dataloader.batch_size=3', 'batch_size: 5 -> 3'),
    ('resume with another head', copy_run,
     f'{RESUME} --cfg-options model.head.mid_channels=16', 'mid_channels: 8 -> 16'),
    ('resume for more epochs', copy_run,
     f'{RESUME} --cfg-options train_cfg.max_epochs=2', 'max_epochs: 1 -> 2'),
    ('resume from weights alone', None, f'{RESUME} {{b}}/cam.pth', 'nothing can go on'),
    ('resume after a kill in the midst of writing', damage_newest,
     RESUME, '(Going on from .* instead)'),
    option('save the best of a figure that there is not',
           'default_hooks.checkpoint.save_best=accuracy/top1', 'save_best'),
    ('a dump into a folder of other things', thesis, f'{BAS} --dump {{x}}/dump',
     'is no earlier dump'),
    ('a dump that another test left unfinished', stopped_dump,
     f'{BAS} --dump {{x}}/dump', 'other settings'),
    ('an output of an unknown kind', None, f'{BAS} --out {{b}}', '--out'),
    # one loader
    ('test BAS with a checkpoint of CAM', None,
     'test {b}/bas.py {b}/cam.pth --work-dir {x}/t', '2 are missing'),
    ('test CAM with a checkpoint of BAS', None,
     'test {b}/cam.py {b}/bas.pth --work-dir {x}/t', '2 are unknown'),
    ('test with another number of classes', None,
     f'{BAS} --cfg-options model.head.num_classes=4', '3 classes and the config 4'),
    ('export with a checkpoint of other classes', two_classes,
     'export {b}/bas.py {x}/own.pth --out {x}/o.json', 'classes'),
    ('a checkpoint that is cut', cut, TEST, '(.*cannot be read)'),
    ('a checkpoint that is a text', text('bad.pth', 'weights'), TEST,
     '(.*cannot be read)'),
    ('a checkpoint that is empty', text('bad.pth', ''), TEST, '(.*cannot be read)'),
    ('a checkpoint that is not there', None, TEST, 'no checkpoint file'),
    ('a checkpoint that would run a program', hostile, TEST, 'was refused'),
    # numbers
    ('a rate that makes the loss infinite', None,
     f'{TRAIN} --cfg-options optim_wrapper.optimizer.lr=1e30 train_cfg.max_epochs=3',
     r'(The loss is not finite at step \d+)'),
    ('a weight that is NaN, test', spoil_weights('head.classifier.4.weight'), TEST,
     'not finite'),
    ('a weight that is infinite, test',
     spoil_weights('head.classifier.4.weight', float('inf')), TEST, 'not finite'),
    ('a weight that is NaN, localize',
     lambda b, x: (picture(b, x), spoil_weights('head.classifier.4.weight')(b, x)),
     f'{LOCALIZE} {{x}}/bad.pth{OUT}', 'not finite'),
    ('a map that is NaN', maps(nan_map), EVAL, 'not finite|NaN'),
    ('scores of another length', write_scores(first=[1, 2, 3]),
     'eval-maps {b}/maps {b}/boxes.json --scores {x}/s.json', 'scores'),
    ('scores that are NaN', write_scores(first=[NAN, 1]),
     'eval-maps {b}/maps {b}/boxes.json --scores {x}/s.json', 'not finite|NaN'),
    # boxes and folders
    ('CUB: x1 y1 x2 y2 for x y w h', cub('1 30 20 48 38\n2 28 20 49 39\n'), OWN,
     'x1 y1 x2 y2 where x y width'),
    ('CUB: shares of the image', cub('1 .1 .2 .3 .4\n2 .1 .2 .6 .7\n'), OWN, 'shares'),
    ('CUB: a box outside', cub('1 5 6 20 20\n2 60 8 30 30\n'), OWN,
     'outside its image'),
    ('CUB: x and y swapped', cub('1 5 25 20 24\n2 2 30 20 18\n'), OWN, 'swapped'),
    ('CUB: a box that is infinite', cub('1 5 inf 20 24\n2 2 3 20 18\n'), OWN, 'finite'),
    ('CUB: one image twice',
     cub('1 5 6 9 9\n2 5 6 9 9\n3 1 1 2 2\n', '1 a/1.jpg\n2 b/2.jpg\n3 a/1.jpg\n'),
     OWN, 'twice'),
    ('CUB: a table that is no text', cub('1 5 6 20 \x80\n2 1 2 3 4\n'), OWN, 'box'),
    ('masks beside the classes', own(spoil=add_masks), OWN, '(wsol/top1_cls) '),
    ('VOC files beside the classes', own(spoil=add_voc), OWN, '(wsol/top1_cls) '),
    ('an image that is a text', own(spoil=spoil_image(b'no image')), OWN, r'a\.jpg'),
    ('an image that is empty', own(spoil=spoil_image(b'')), OWN, r'a\.jpg'),
    ('an image that is cut', own(spoil=spoil_image(None)), OWN, r'a\.jpg'),
    ('data with a broken image, read before training',
     own(spoil=spoil_image(b'no image')), 'check {x}/data', 'cannot be read'),
    # settings
    option('threshold misspelled', 'model.head.treshold=0.3', 'did you mean'),
    option('head misspelled', 'model.haed.threshold=0.3', 'did you mean'),
    option('beta misspelled', 'model.head.loss.betta=2', 'did you mean'),
    option('max_epochs misspelled', 'train_cfg.max_epoch=3', 'did you mean'),
    option('batch_size misspelled', 'train_dataloader.batchsize=3', 'did you mean'),
    option('a hook misspelled', 'default_hooks.gird.num=3', 'default_hooks'),
    option('seed misspelled', 'randomness.sed=3', 'did you mean'),
    option('a setting that no config has', 'learning_rate=3',
           "(.*no 'learning_rate'; it has)"),
    option('a setting of the loss on its head', 'model.head.x=1', "(.*no 'x'; .* has)"),
    option('more maps than classes', 'model.head.topk=9', '1 to 3'),
    option('epochs that are a word', 'train_cfg.max_epochs=abc', 'is a number'),
    option('a part that is a number', 'model.head=3', 'group of settings'),
    option('a type that is a number', 'model.type=3', 'is text'),
    option('a class misspelled', 'model.type=bas_mm.BASClasifier', 'did you mean'),
    option('a loss without its prefix', 'model.head.loss.type=AMCLoss', 'did you mean'),
    option('an optimizer misspelled', 'optim_wrapper.optimizer.type=SDG',
           'did you mean'),
    option('no image in a batch', 'train_dataloader.batch_size=0', 'batch_size'),
    option('a threshold over 1', 'model.head.threshold=7', 'threshold'),
    option('a weight of the loss below 0', 'model.head.loss.alpha=-1', 'alpha'),
    # options and files
    ('K V for K=V', None, f'{TRAIN} --cfg-options a.b 3', 'did you mean a.b=3'),
    ('an option misspelled', None, 'train {b}/bas.py --work-dri w', 'did you mean'),
    ('a seed that is a word', None, f'{TRAIN} --seed abc', 'invalid int'),
    ('a command misspelled', None, 'trian {b}/bas.py', 'did you mean'),
    ('a config misspelled', None, 'train bas_vgg16_cup', 'bas_vgg16_cub'),
    ('a config that is no Python', text('bad.py', 'model = dict('),
     'train {x}/bad.py --work-dir {x}/w', 'no Python, line 1'),
    ('a config without a model', text('bad.py', "default_scope = 'mmpretrain'"),
     'train {x}/bad.py --work-dir {x}/w', 'has no .model'),
    ('a config whose base is gone', text('bad.py', "_base_ = ['gone.py']"),
     'train {x}/bad.py --work-dir {x}/w', 'gone.py'),
    ('a data folder that is not there', None,
     'train bas_vgg16_cub --data-root {x}/gone --work-dir {x}/w', 'is no folder'),
    ('maps without boxes', None, 'eval-maps {b}/maps', 'arguments are required'),
    ('maps that are not there', None, 'eval-maps {x}/gone {b}/boxes.json', 'gone'),
    ('scores that are null', text('s.json', 'null'),
     'eval-maps {b}/maps {b}/boxes.json --scores {x}/s.json',
     '(.*numbers for each image are needed)'),
    ('an archive of maps that is none', text('m.npz', 'maps'),
     'eval-maps {x}/m.npz {b}/boxes.json', r'(.*m\.npz.* is no \.npz file of arrays)'),
    ('a report of what is no dump', thesis, 'report {x}/dump --out {x}/r.html',
     'is no finished dump'),
    # strangers' files and open sets
    ('an image of 3.6 gigapixels', bomb,
     f'localize {{x}}/bomb.png --model {{b}}/bas.py --weights {{b}}/bas.pth{OUT}',
     r'(.*bomb\.png.*limit of \d+ pixels)'),
    ('a text among the images', text('a.jpg', 'no image'),
     f'{LOCALIZE} {{b}}/bas.pth{OUT}', r'a\.jpg'),
    ('an image that is not there', None, f'{LOCALIZE} {{b}}/bas.pth{OUT}', r'a\.jpg'),
    ('a class that there is not', picture,
     f'{LOCALIZE} {{b}}/bas.pth --classes zebra{OUT}', 'zebra'),
    ('a device that there is not', picture,
     f'{LOCALIZE} {{b}}/bas.pth --device tpu{OUT}', "(.*'tpu' cannot be used)"),
    ('no object: every score is below', picture,
     f'{LOCALIZE} {{b}}/bas.pth --min-score 1{OUT}', 'no object'),
    ('a score over 1', None, 'webapp --min-score 2', 'from 0 to 1'),
    ('uploads of no size', None, 'webapp --max-mb 0', 'at least 1'),
    ('half a password', None,
     'webapp --model {b}/bas.py --weights {b}/bas.pth --auth me', '--auth'),
]  # fmt: skip
