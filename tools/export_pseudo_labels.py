"""Write boxes and masks of a whole data set as COCO json."""

import argparse
import os.path as osp
import sys

import bas_mm

from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from bas_mm.apis import CocoFile, leaf_dataset
from bas_mm.utils.cli import (
    add_config_arguments,
    add_inference_arguments,
    read_config,
)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Write boxes and masks of a whole data set as COCO json, '
        'to train a detector on.'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='json file to write'
    )
    parser.add_argument(
        '--split',
        choices=['train', 'test'],
        default='train',
        help='which data set of the config (default: train)',
    )
    parser.add_argument(
        '--use-labels',
        choices=['auto', 'never'],
        default='auto',
        help="auto: the labels of the data set name the objects and choose "
        'the map (map_label=gt); never: the model predicts (default: auto)',
    )
    add_inference_arguments(parser)
    add_config_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Export; what was found before an error is written."""
    args = parse_args()
    cfg = read_config(args.config, args.data_root, args.cfg_options)
    inferencer = bas_mm.WSOLInferencer(
        cfg, args.checkpoint, args.device, view=args.view
    )
    settings = leaf_dataset(cfg.get(f'{args.split}_dataloader'))
    if not settings:
        raise ValueError(
            f'The config {args.config} has no `{args.split}_dataloader.dataset`.'
        )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dict(settings, pipeline=[]))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    labels = [info.get('gt_label') for info in infos]
    use_labels = args.use_labels == 'auto' and None not in labels
    classes = (dataset.metainfo or {}).get('classes')
    if classes and len(classes) != len(inferencer.classes):
        raise ValueError(
            f'The data set has {len(classes)} classes and the model '
            f'{len(inferencer.classes)}: give the checkpoint that was trained '
            'on it, with its config.'
        )
    head = inferencer.model.head
    coco = CocoFile(
        args.out,
        inferencer.classes,
        dict(
            description='pseudo labels of a weakly supervised localizer',
            config=args.config,
            checkpoint=args.checkpoint,
            data_root=settings.get('data_root'),
            split=args.split,
            view=args.view,
            threshold=head.threshold if args.threshold is None else args.threshold,
            topk=args.topk or head.topk,
            map_label='gt' if use_labels else 'pred',
            multi=args.multi,
            bas_mm=bas_mm.__version__,
        ),
    )
    results = inferencer.stream(
        [info['img_path'] for info in infos],
        batch_size=args.batch_size,
        threshold=args.threshold,
        topk=args.topk,
        labels=labels if use_labels else None,
        multi=args.multi,
        return_mask=True,
        on_error=args.on_error,
    )
    root = coco.info['data_root'] or osp.curdir
    try:
        for result in results:
            label = result['pred_label']
            if use_labels:
                label = int(labels[result['index']])
            score = float(result['scores'][label])
            coco.add(
                osp.relpath(result['img_path'], root).replace(osp.sep, '/'),
                result['ori_shape'],
                [(label, score, box) for box in result.get('bboxes', [result['bbox']])],
                masks=result.get('masks', [result['mask']]),
            )
    finally:
        coco.finish(inferencer.skipped)
        print(
            f'{len(coco.images)} pictures, {len(coco.annotations)} objects,'
            f' {len(coco.skipped)} left out: {coco.path}',
            flush=True,
        )


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
