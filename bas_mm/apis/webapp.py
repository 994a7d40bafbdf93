"""A page where an image is dropped and is answered: what is on it, and where."""

import ipaddress
import os
import os.path as osp
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bas_mm.apis.images import load_image
from bas_mm.apis.inferencer import Result, WSOLInferencer

#: The choice of no class.
BEST = -1

#: Requests that are answered at the same time.
PARALLEL = 4
#: An image of more pixels is refused before it is decoded.
MAX_PIXELS = 50_000_000
#: Seconds after which the files of a request are removed, and between looks.
KEPT, LOOK = 3600, 300


def answer(
    inferencer: WSOLInferencer,
    path: str | None,
    threshold: float | str,
    choice: int | None,
    multi: bool,
    min_score: float | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, float], str]:
    """Answer one request of the page.

    Args:
        inferencer: The model.
        path: The image; None before there is one.
        threshold: Where the map is cut, 0 to 1 or a rule.
        choice: The index of a class, or ``BEST``.
        multi: All components, not only the largest.
        min_score: See :meth:`~bas_mm.apis.WSOLInferencer.stream`.

    Returns:
        The image with map and box, the mask over the image (both RGB uint8,
        or None), the five best classes (name to score), and a line about the
        box.

    Raises:
        ValueError: If the file is no image, damaged, or too large.
    """
    if path is None:
        return None, None, {}, ''
    check_upload(path)
    classes = None if choice in (None, BEST) else choice
    (result,) = inferencer(
        path,
        threshold=threshold,
        classes=classes,
        multi=multi,
        return_mask=True,
        min_score=min_score,
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


def check_upload(path: str) -> None:
    """Look at the head of a stranger's file before anything is decoded.

    Raises:
        ValueError: If it is no image, or one of more than ``MAX_PIXELS``
            pixels, whatever the size of the file.
    """
    name = osp.basename(path)
    try:
        with Image.open(path) as file:
            width, height = file.size
    except Image.DecompressionBombError:
        size, pixels = 'far too many', MAX_PIXELS + 1
    except Exception as error:  # Pillow has no common one
        raise ValueError(f'{name!r} is no image that can be read.') from error
    else:
        size, pixels = f'{width} x {height}', width * height
    if pixels > MAX_PIXELS:
        raise ValueError(
            f'{name!r} has {size} pixels; this page takes images of at most '
            f'{MAX_PIXELS // 1_000_000} million. Reduce it first.'
        )


def warn_open(host: str, auth: bool) -> str:
    """Say who can use a page; empty where only this machine can.

    Example:
        >>> warn_open('127.0.0.1', auth=False), warn_open('localhost', auth=False)
        ('', '')
        >>> warn_open('0.0.0.0', auth=True)
        'Warning: the page is open to the network (--host 0.0.0.0), unencrypted.'
    """
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == 'localhost'
    if here:
        return ''
    text = f'Warning: the page is open to the network (--host {host}), unencrypted'
    if auth:
        return f'{text}.'
    return f'{text} and to everybody: --auth USER:PASSWORD asks for a password.'


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
    """Say class, score and box(es) in words, or that there is no object.

    Example:
        >>> describe(dict(pred_class='cat', pred_score=0.5, ori_shape=(9, 8),
        ...               bbox=np.array([0, 1, 7.6, 5])))
        'cat, score 0.500: x 0 to 8, y 1 to 5 (of 8 x 9 pixels)'
    """
    if not result.get('has_object', True):
        best = f'{result["pred_class"]}, score {result["pred_score"]:.3f}'
        return f'no object: the best class is {best}'
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
    """List what the page offers to look for: name and index.

    Of a file with the maps of the best classes alone, these.
    """
    about = getattr(inferencer.model, 'about', {})
    if about.get('maps') == 'best':
        return [('the best class (export with --maps all for others)', BEST)]
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


def _responder(
    gr: Any, inferencer: WSOLInferencer, min_score: float | None
) -> Callable[..., Any]:
    """Give what the page calls: :func:`answer`, its errors in the page's words."""

    def respond(
        path: str | None,
        threshold: float,
        choice: int | None,
        multi: bool,
        own: bool = False,
    ) -> Any:
        cut = inferencer.test_options.threshold if own else threshold
        try:
            return answer(inferencer, path, cut, choice, multi, min_score)
        except (ValueError, OSError) as error:
            # where the file lies on this machine is nobody's business
            text = str(error).replace(str(path), osp.basename(str(path)))
            raise gr.Error(text, print_exception=False) from error

    return respond


def build_page(inferencer: WSOLInferencer, min_score: float | None = None) -> Any:
    """Lay the page out.

    What is uploaded and drawn is removed after an hour, and with the page. Where the
    model cuts its maps by a rule, so does the page, until the slider is moved.

    Args:
        inferencer: The model.
        min_score: See :func:`answer`.

    Returns:
        The page, a ``gradio.Blocks``, not yet started.

    Raises:
        ImportError: If gradio is not installed.
    """
    gr = import_gradio()

    respond = _responder(gr, inferencer, min_score)
    own = inferencer.test_options.threshold
    has_rule = isinstance(own, str)
    with gr.Blocks(
        title='bas_mm', analytics_enabled=False, delete_cache=(LOOK, KEPT)
    ) as page:
        gr.Markdown('# What is it, and where?')
        with gr.Row():
            with gr.Column():
                image = gr.Image(type='filepath', label='Image', sources=['upload'])
                # as it was uploaded: `answer` reads it, or says why it cannot
                image.preprocess = lambda upload: upload and upload.path
                choice = gr.Dropdown(
                    list_choices(inferencer), value=BEST, label='Look for'
                )
                threshold = gr.Slider(
                    0,
                    1,
                    0.5 if has_rule else own,
                    step=0.01,
                    label=f"Threshold of the map (the model's own: {own})",
                )
                rule = has_rule and gr.Checkbox(
                    True,
                    label=f'Cut each map by the rule {own!r}, not at the threshold',
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
        ruled = [*inputs, rule] if rule else inputs
        events = [(x, ruled) for x in (image.change, choice.input, multi.input)]
        events.append((threshold.release, inputs))
        if rule:
            events.append((rule.input, ruled))
            threshold.release(lambda: False, None, rule)
        for event, given in events:
            event(
                respond,
                given,
                outputs,
                show_progress='minimal',
                concurrency_limit=PARALLEL,
            )
    return page
