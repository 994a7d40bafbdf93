"""Say what is on pictures and where: boxes as json, and pictures."""

import argparse
import os.path as osp
import sys

import bas_mm

from bas_mm.apis import CocoFile
from bas_mm.utils.cli import add_inference_arguments


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Say what is on pictures and where.')
    parser.add_argument(
        'inputs', nargs='+', metavar='IMG_OR_DIR', help='pictures or folders'
    )
    parser.add_argument(
        '--model',
        help='config file, or a checkpoint that carries its config (default: '
        'the classes of ImageNet)',
    )
    parser.add_argument('--weights', help='checkpoint, where --model is a config')
    parser.add_argument(
        '--out-dir',
        required=True,
        metavar='DIR',
        help='folder for results.json and the pictures',
    )
    parser.add_argument(
        '--no-pictures', action='store_true', help='write results.json only'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='ask where these classes are (names or indices)',
    )
    add_inference_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Localise; what was found before an error is written."""
    args = parse_args()
    inferencer = bas_mm.WSOLInferencer(
        args.model, args.weights, args.device, view=args.view
    )
    threshold = args.threshold
    if threshold is None:
        threshold = inferencer.model.head.threshold
    info = dict(
        model=args.model or 'default',
        weights=args.weights,
        view=args.view,
        threshold=threshold,
        topk=args.topk or inferencer.model.head.topk,
        classes=args.classes,
        multi=args.multi,
    )
    if args.classes:
        info['topk'] = 1
    coco = CocoFile(osp.join(args.out_dir, 'results.json'), inferencer.classes, info)
    few = len(inferencer.list_inputs(args.inputs)) <= 20
    results = inferencer.stream(
        args.inputs,
        batch_size=args.batch_size,
        threshold=args.threshold,
        topk=args.topk,
        classes=args.classes,
        multi=args.multi,
        show_dir=None if args.no_pictures else args.out_dir,
        on_error=args.on_error,
    )
    try:
        for result in results:
            asked = result.get('asked') or [
                dict(result, label=result['pred_label'], score=result['pred_score'])
            ]
            found = [
                (one['label'], one['score'], box)
                for one in asked
                for box in one.get('bboxes', [one['bbox']])
            ]
            coco.add(
                result['name'],
                result['ori_shape'],
                found,
                path=result['img_path'],
                picture=osp.relpath(result['vis_path'], args.out_dir)
                if 'vis_path' in result
                else None,
            )
            if few:
                x0, y0, x1, y1 = (round(float(v)) for v in result['bbox'])
                print(
                    f"{result['name']}: {result['pred_class']} "
                    f"({result['pred_score']:.2f}) at x {x0} to {x1}, "
                    f'y {y0} to {y1}',
                    flush=True,
                )
    finally:
        coco.finish(inferencer.skipped)
        print(
            f'{len(coco.images)} pictures, {len(coco.skipped)} left out: {coco.path}',
            flush=True,
        )


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
