"""A page where an image is dropped and is answered: what is on it, and where."""

import os
from typing import Any

import cv2
import numpy as np

from bas_mm.apis.images import load_image
from bas_mm.apis.inferencer import Result, WSOLInferencer

#: The choice of no class.
BEST = -1

#: Requests that are answered at the same time.
PARALLEL = 4


def answer(
    inferencer: WSOLInferencer,
    path: str | None,
    threshold: float,
    choice: int | None,
    multi: bool,
) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, float], str]:
    """Answer one request of the page.

    Args:
        inferencer: The model.
        path: The image; None before there is one.
        threshold: Where the map is cut, 0 to 1.
        choice: The index of a class, or ``BEST``.
        multi: All components, not only the largest.

    Returns:
        The image with map and box, the mask over the image (both RGB uint8,
        or None), the five best classes (name to score), and a line about the
        box.
    """
    if path is None:
        return None, None, {}, ''
    classes = None if choice in (None, BEST) else choice
    (result,) = inferencer(
        path, threshold=threshold, classes=classes, multi=multi, return_mask=True
    )
    image = load_image(path)
    best = np.argsort(-result['scores'], kind='stable')[:5]
    scores = {inferencer.classes[i]: float(result['scores'][i]) for i in best}
    return (
        inferencer.draw(image, result),
        cut_out(image, result['mask']),
        scores,
        describe(result),
    )


def cut_out(image: np.ndarray, mask: np.ndarray, longest: int = 1600) -> np.ndarray:
    """Show the masked part of an image, the rest pale.

    Args:
        image: BGR, ``(h, w, 3)`` uint8.
        mask: Shape ``(h, w)``, bool.
        longest: A longer side is reduced to so many pixels.

    Returns:
        RGB, uint8.

    Example:
        >>> cut_out(np.uint8([[[9, 8, 0], [9, 8, 0]]]), np.array([[True, False]]))
        array([[[  0,   8,   9],
                [220, 221, 221]]], dtype=uint8)
    """
    scale = min(1.0, longest / max(mask.shape))
    if scale < 1:
        size = [max(1, round(n * scale)) for n in mask.shape[::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8), size) > 0
    rgb = image[..., ::-1]
    return np.where(mask[..., None], rgb, 220 + rgb // 8).astype(np.uint8)


def describe(result: Result) -> str:
    """Say class, score and box(es) in words.

    Example:
        >>> describe(dict(pred_class='cat', pred_score=0.5, ori_shape=(9, 8),
        ...               bbox=np.array([0, 1, 7.6, 5])))
        'cat, score 0.500: x 0 to 8, y 1 to 5 (of 8 x 9 pixels)'
    """
    boxes = np.round(result.get('bboxes', [result['bbox']])).astype(int)
    height, width = result['ori_shape']
    places = '; '.join(
        f'x {x0} to {x1}, y {y0} to {y1}' for x0, y0, x1, y1 in boxes[:5]
    )
    more = f' and {len(boxes) - 5} more' if len(boxes) > 5 else ''
    return (
        f'{result["pred_class"]}, score {result["pred_score"]:.3f}: '
        f'{places}{more} (of {width} x {height} pixels)'
    )


def list_choices(inferencer: WSOLInferencer) -> list[tuple[str, int]]:
    """List what the page offers to look for: name and index."""
    return [
        ('the best class', BEST),
        *((name, i) for i, name in enumerate(inferencer.classes)),
    ]


def import_gradio() -> Any:
    """Import gradio, set to call no server.

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
            "`pip install 'bas-mm[webapp]'`, or in a clone with "
            "`pip install -c constraints.txt -e '.[webapp]'`."
        ) from error
    return gradio


def build_page(inferencer: WSOLInferencer) -> Any:
    """Lay the page out.

    Args:
        inferencer: The model.

    Returns:
        The page, a ``gradio.Blocks``, not yet started.

    Raises:
        ImportError: If gradio is not installed.
    """
    gr = import_gradio()

    def respond(*inputs: Any) -> Any:
        try:
            return answer(inferencer, *inputs)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error)) from error

    own = inferencer.test_options.threshold
    with gr.Blocks(title='bas_mm', analytics_enabled=False) as page:
        gr.Markdown('# What is it, and where?')
        with gr.Row():
            with gr.Column():
                image = gr.Image(type='filepath', label='Image', sources=['upload'])
                choice = gr.Dropdown(
                    list_choices(inferencer), value=BEST, label='Look for'
                )
                threshold = gr.Slider(
                    0,
                    1,
                    0.5 if isinstance(own, str) else own,
                    step=0.01,
                    label=f"Threshold of the map (the model's own: {own})",
                )
                multi = gr.Checkbox(label='All parts, not only the largest')
            with gr.Column():
                overlay = gr.Image(label='Map and box', format='png')
                text = gr.Textbox(label='Answer', interactive=False)
            with gr.Column():
                mask = gr.Image(label='Mask', format='png')
                scores = gr.Label(label='Best classes', num_top_classes=5)
        inputs = [image, threshold, choice, multi]
        outputs = [overlay, mask, scores, text]
        for event in (image.change, threshold.release, choice.input, multi.input):
            event(
                respond,
                inputs,
                outputs,
                show_progress='minimal',
                concurrency_limit=PARALLEL,
            )
    return page
