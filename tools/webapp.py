"""A page on this machine: drop a picture, see what is on it and where."""

import argparse
import os
import sys
from typing import Any, Dict, List, Optional, Tuple

import bas_mm

import cv2
import numpy as np

BEST = -1  # the choice of no class


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='A page on this machine: drop a picture, see what is on '
        'it and where.'
    )
    parser.add_argument(
        '--model',
        help='config file, or a checkpoint that carries its config (default: '
        'the classes of ImageNet)',
    )
    parser.add_argument('--weights', help='checkpoint, where --model is a config')
    parser.add_argument('--device', help='cpu, cuda, ... (default: what is there)')
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=7860)
    return parser.parse_args()


def localize(
    inferencer: 'bas_mm.WSOLInferencer',
    path: Optional[str],
    threshold: float,
    choice: int,
    multi: bool,
) -> Tuple[Optional[np.ndarray], ...]:
    """Answer one request of the page.

    Args:
        inferencer (WSOLInferencer): The model.
        path (str, optional): The picture; None before there is one.
        threshold (float): Where the map is cut, 0 to 1.
        choice (int): The index of a class, or ``BEST``.
        multi (bool): All components, not only the largest.

    Returns:
        tuple: The picture with map and box, the mask over the picture (both
        RGB uint8 or None), the five best classes (name to score), and a line
        about the box.
    """
    if path is None:
        return None, None, {}, ''
    classes = None if choice in (None, BEST) else int(choice)
    (result,) = inferencer(
        path, threshold=threshold, classes=classes, multi=multi, return_mask=True
    )
    image = bas_mm.apis.load_image(path)
    best = np.argsort(-result['scores'], kind='stable')[:5]
    scores = {inferencer.classes[i]: float(result['scores'][i]) for i in best}
    return (
        inferencer.draw(image, result),
        cut_out(image, result['mask']),
        scores,
        describe(result),
    )


def cut_out(image: np.ndarray, mask: np.ndarray, longest: int = 1600) -> np.ndarray:
    """Show the masked part of a picture, the rest pale.

    Args:
        image (np.ndarray): BGR, ``(h, w, 3)`` uint8.
        mask (np.ndarray): ``(h, w)`` bool.
        longest (int): A longer side is reduced to so many pixels.

    Returns:
        np.ndarray: RGB, uint8.
    """
    scale = min(1.0, longest / max(mask.shape))
    if scale < 1:
        size = [max(1, round(n * scale)) for n in mask.shape[::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8), size) > 0
    rgb = image[..., ::-1]
    return np.where(mask[..., None], rgb, 220 + rgb // 8).astype(np.uint8)


def describe(result: Dict[str, Any]) -> str:
    """Class, score and box(es) in words."""
    boxes = np.round(result.get('bboxes', [result['bbox']])).astype(int)
    height, width = result['ori_shape']
    places = '; '.join(
        f'x {x0} to {x1}, y {y0} to {y1}' for x0, y0, x1, y1 in boxes[:5]
    )
    more = f' and {len(boxes) - 5} more' if len(boxes) > 5 else ''
    return (
        f"{result['pred_class']}, score {result['pred_score']:.3f}: "
        f'{places}{more} (of {width} x {height} pixels)'
    )


def choices(inferencer: 'bas_mm.WSOLInferencer') -> List[Tuple[str, int]]:
    """What the page offers to look for: name and index."""
    return [
        ('the best class', BEST),
        *((name, i) for i, name in enumerate(inferencer.classes)),
    ]


def import_gradio():
    """Import gradio, told to call nobody.

    Raises:
        ImportError: If it is not installed; names the extra.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            'The page needs gradio, which is not installed. Install it with '
            "`pip install -c constraints.txt -e '.[webapp]'`."
        ) from error
    return gradio


def build_page(inferencer: 'bas_mm.WSOLInferencer'):
    """Lay the page out.

    Args:
        inferencer (WSOLInferencer): The model.

    Returns:
        gradio.Blocks: The page, not yet started.
    """
    gr = import_gradio()

    def answer(*inputs):
        try:
            return localize(inferencer, *inputs)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title='bas_mm', analytics_enabled=False) as page:
        gr.Markdown('# What is it, and where?')
        with gr.Row():
            with gr.Column():
                picture = gr.Image(type='filepath', label='Picture', sources=['upload'])
                choice = gr.Dropdown(choices(inferencer), value=BEST, label='Look for')
                threshold = gr.Slider(
                    0,
                    1,
                    inferencer.model.head.threshold,
                    step=0.01,
                    label='Threshold of the map',
                )
                multi = gr.Checkbox(label='All parts, not only the largest')
            with gr.Column():
                overlay = gr.Image(label='Map and box', format='png')
                text = gr.Textbox(label='Answer', interactive=False)
            with gr.Column():
                mask = gr.Image(label='Mask', format='png')
                scores = gr.Label(label='Best classes', num_top_classes=5)
        inputs = [picture, threshold, choice, multi]
        outputs = [overlay, mask, scores, text]
        for event in (picture.change, threshold.release, choice.input, multi.input):
            event(answer, inputs, outputs, show_progress='minimal')
    return page


def main() -> None:
    """Start the page and stay."""
    args = parse_args()
    import_gradio()  # speaks before the model is loaded
    inferencer = bas_mm.WSOLInferencer(
        args.model, args.weights, args.device, show_progress=False
    )
    print(
        f'Open http://{args.host}:{args.port} in a browser; Ctrl+C ends it.', flush=True
    )
    build_page(inferencer).launch(
        server_name=args.host, server_port=args.port, share=False, quiet=True
    )


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
