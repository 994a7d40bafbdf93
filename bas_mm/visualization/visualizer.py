"""Drawings of what a localizer sees."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from bas_mm.localization import as_array, view_map
from bas_mm.registry import VISUALIZERS
from bas_mm.visualization.sheet import write_drawing

Color = tuple[int, int, int]
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)  # RGB
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@VISUALIZERS.register_module()
class WSOLVisualizer(UniversalVisualizer):
    """Draws what a localizer sees: map, boxes, class and score.

    The map is laid over the view as a heat map (blue low, red high), the
    ground-truth boxes are red, the predicted box is green, and a caption
    below names the classes. What a sample lacks is left out.

    It stands where the stock ``VisualizationHook`` expects a visualizer, so
    ``bas-mm test --show-dir`` writes its drawings. That hook hands over views
    as they were loaded, which is BGR.

    Args:
        name: Name of the instance.
        alpha: Weight of the heat map over the view, 0 to 1.
        min_side: Views whose short side is below this are enlarged to it, in
            pixels, so that boxes and text can be seen.
        channel_order: 'bgr' or 'rgb', the order of the channels in the
            views to be drawn on.
        **kwargs: Other arguments of
            :class:`mmpretrain.visualization.UniversalVisualizer`, such as
            ``vis_backends`` and ``save_dir``.

    Raises:
        ValueError: If ``alpha`` or ``channel_order`` is not allowed.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        alpha: float = 0.5,
        min_side: int = 224,
        channel_order: str = 'bgr',
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 <= alpha <= 1:
            raise ValueError(
                '`visualizer.alpha` is the weight of the heat '
                f'map, from 0 to 1, got {alpha}.'
            )
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(
                f"`visualizer.channel_order` is 'bgr' or 'rgb', got {channel_order!r}."
            )
        self.alpha = alpha
        self.min_side = min_side
        self.channel_order = channel_order

    def add_scalars(
        self, scalar_dict: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Write figures to the log; those that are not finite are left out.

        The log is json, which has no NaN.
        """
        kept = {
            key: v for key, v in scalar_dict.items() if np.isfinite(as_array(v)).all()
        }
        super().add_scalars(kept, *args, **kwargs)

    def draw(
        self,
        image: np.ndarray,
        data_sample: DataSample,
        classes: Sequence[str] | None = None,
        draw_map: bool = True,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_text: bool = True,
        draw_score: bool = True,
        resize: int | None = None,
        rescale_factor: float | None = None,
    ) -> np.ndarray:
        """Draw one sample; nothing is written or shown.

        Args:
            image: The view, ``(h, w, 3)`` uint8, channels in
                ``channel_order``.
            data_sample: May hold ``pred_map`` (``(h', w')``, any range),
                ``pred_bbox`` (``(4,)`` or ``(n, 4)``), ``pred_label``,
                ``pred_score``, ``gt_bboxes`` (``(n, 4)``) and ``gt_label``,
                arrays or tensors. Boxes are ``xyxy``, pixels of the view, max
                exclusive.
            classes: Names of the classes. Defaults to those of
                ``dataset_meta``, else to their numbers.
            draw_map: Lay the map over the view.
            draw_gt: Draw the ground-truth boxes and name the class.
            draw_pred: Draw the predicted box and name the class.
            draw_text: Add the caption.
            draw_score: Write the score before the predicted class.
            resize: Length of the short side of the drawing, without caption.
                Defaults to that of the view, but at least ``min_side``.
            rescale_factor: Scale of the drawing, used when ``resize`` is not
                given.

        Returns:
            ``(H, W, 3)`` uint8, RGB: the view, and the caption below it.

        Raises:
            ValueError: If the view or a box has another shape.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(
                f'The image to draw on needs the shape (h, w, 3), got {image.shape}.'
            )
        if self.channel_order == 'bgr':
            image = image[..., ::-1]
        height, width = image.shape[:2]
        short = min(height, width)
        scale = rescale_factor or max(1.0, self.min_side / short)
        scale = scale if resize is None else resize / short
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        canvas = mmcv.imresize(np.ascontiguousarray(image, dtype=np.uint8), size[::-1])
        if draw_map and 'pred_map' in data_sample:
            canvas = self._lay_map(canvas, data_sample.pred_map)
        scales = np.array([size[1] / width, size[0] / height] * 2)
        truth = np.zeros((0, 4), int)
        if draw_gt and 'gt_bboxes' in data_sample:
            truth = _on_canvas(canvas, data_sample.gt_bboxes, scales)
            _draw_boxes(canvas, truth, RED)
        if draw_pred and 'pred_bbox' in data_sample:
            boxes = _on_canvas(canvas, data_sample.pred_bbox, scales)
            _draw_boxes(canvas, _step_aside(boxes, truth, _thickness(canvas)), GREEN)
        if not draw_text:
            return canvas
        lines = self._lines(data_sample, classes, draw_gt, draw_pred, draw_score)
        return np.vstack([canvas, *_caption(lines, size)])

    def _lay_map(self, canvas: np.ndarray, pred_map: Any) -> np.ndarray:
        """The canvas, ``(H, W, 3)`` RGB, with a map over it as a heat map."""
        heat = np.uint8(255 * view_map(pred_map, canvas.shape[:2]))
        heat = cv2.applyColorMap(heat, cv2.COLORMAP_JET)[..., ::-1]
        return cv2.addWeighted(
            np.ascontiguousarray(heat), self.alpha, canvas, 1 - self.alpha, 0
        )

    def _lines(
        self,
        sample: DataSample,
        classes: Sequence[str] | None,
        gt: bool,
        pred: bool,
        with_score: bool,
    ) -> list[tuple[str, Color]]:
        """Lines of the caption, and the color of the mark before each."""
        if classes is None:
            classes = (self.dataset_meta or {}).get('classes')
        lines = []
        if gt and 'gt_label' in sample:
            labels = as_array(sample.gt_label).reshape(-1)
            names = ', '.join(_name(label, classes) for label in labels)
            lines.append((f'gt: {names}', RED))
        if pred and 'pred_label' in sample:
            label = int(as_array(sample.pred_label).reshape(-1)[0])
            text = 'pred: ' if sample.get('has_object', True) else 'no object: '
            if with_score and 'pred_score' in sample:
                score = as_array(sample.pred_score).reshape(-1)[label]
                text += f'{score:.2f} '  # before the name, which may be cut
            lines.append((text + _name(label, classes), GREEN))
        return lines

    def visualize_cls(
        self,
        image: np.ndarray,
        data_sample: DataSample,
        classes: Sequence[str] | None = None,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        name: str = '',
        step: int = 0,
        **draw_args: Any,
    ) -> np.ndarray:
        """Draw one sample and write or show it; the stock hook's method.

        Under several processes each writes its own ``out_file``; windows and
        backends are served by the first one.

        Args:
            image: See :meth:`draw`.
            data_sample: See :meth:`draw`.
            classes: See :meth:`draw`.
            show: Show the drawing in a window.
            wait_time: Seconds that the window stays, 0 for ever.
            out_file: File to write to, instead of the backends. To a name that
                the stock hook made from that of the image, the image's folder
                (often its class) is put before.
            name: Name of the drawing for backends and window.
            step: Step for the backends.
            **draw_args: Options of :meth:`draw`.

        Returns:
            The drawing, see :meth:`draw`.
        """
        drawn = self.draw(image, data_sample, classes, **draw_args)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, drawn, step=step)
        else:
            write_drawing(_with_folder(out_file, data_sample.get('img_path')), drawn)
        return drawn


def _with_folder(out_file: str, img_path: str | None) -> str:
    """Put an image's folder before the file name that the stock hook chose.

    The hook names drawings after the image file alone, so that equally named
    images of two class folders would overwrite each other. Names that do not
    come from the hook stay.
    """
    path = Path(out_file)
    if img_path is None or not path.name.startswith(Path(img_path).name + '_'):
        return out_file
    return str(path.with_name(f'{Path(img_path).parent.name}_{path.name}'))


def _name(label: int, classes: Sequence[str] | None) -> str:
    """Name of a class, its number if it has none."""
    if classes is not None and 0 <= label < len(classes):
        return str(classes[label])
    return str(int(label))


def _thickness(canvas: np.ndarray) -> int:
    """Give the width of the lines of boxes, in pixels."""
    return max(1, round(min(canvas.shape[:2]) / 112))


def _on_canvas(canvas: np.ndarray, boxes: Any, scales: np.ndarray) -> np.ndarray:
    """Bring boxes to the pixels of a drawing.

    Args:
        canvas: ``(H, W, 3)``.
        boxes: ``(n, 4)`` or ``(4, )``, xyxy, pixels of the view, max
            exclusive. Boxes that are not finite are left out.
        scales: ``(4, )``, canvas pixels a pixel of the view.

    Returns:
        ``(n, 4)``, int, max inclusive, as OpenCV draws them.
    """
    boxes = as_array(boxes).astype(np.float64)
    if boxes.size % 4 or (boxes.size and boxes.shape[-1] != 4):
        raise ValueError(f'Boxes need the shape (n, 4) or (4,), got {boxes.shape}.')
    boxes = boxes.reshape(-1, 4) * scales
    boxes = boxes[np.isfinite(boxes).all(1)]
    height, width = canvas.shape[:2]
    boxes -= (0, 0, 1, 1)  # OpenCV draws the last pixel too
    return np.clip(np.round(boxes), 0, [width - 1, height - 1] * 2).astype(int)


def _step_aside(boxes: np.ndarray, others: np.ndarray, thick: int) -> np.ndarray:
    """Move sides inward that would hide those of other boxes.

    Args:
        boxes: ``(n, 4)``, xyxy, int.
        others: ``(m, 4)``, those below.
        thick: Width of the lines.

    Returns:
        ``(n, 4)``; boxes too small for it stay.
    """
    step = thick + 2  # with its rim
    hides = (np.abs(boxes[:, None] - others[None]) < step).any(1)
    large = (boxes[:, 2:] - boxes[:, :2] > 6 * step).all(1, keepdims=True)
    return boxes + step * np.array([1, 1, -1, -1]) * (hides & large)


def _draw_boxes(canvas: np.ndarray, boxes: np.ndarray, color: Color) -> None:
    """Draw boxes with a dark rim, in place.

    Args:
        canvas: ``(H, W, 3)`` uint8, RGB.
        boxes: ``(n, 4)``, see :func:`_on_canvas`.
        color: RGB.
    """
    thick = _thickness(canvas)
    for x0, y0, x1, y1 in boxes.tolist():
        cv2.rectangle(canvas, (x0, y0), (x1, y1), (0, 0, 0), thick + 2)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), color, thick)


def _caption(lines: list[tuple[str, Color]], size: tuple[int, int]) -> list[np.ndarray]:
    """A dark strip for each line of text, ``(h, W, 3)`` uint8, RGB.

    Text that is too long gets smaller, and below a legible size is cut.

    Args:
        lines: Text and the color (RGB) of the mark before it.
        size: ``(H, W)`` of the drawing.
    """
    unit = max(min(size) / 224, 0.5)
    height, mark = round(18 * unit), round(8 * unit)
    left, strips = 3 * mark // 2, []
    for text, color in lines:
        strip = np.full((height, size[1], 3), 32, np.uint8)
        strip[(height - mark) // 2 : (height + mark) // 2, mark // 4 : mark] = color
        room, font = size[1] - left - 2, 0.45 * unit
        thick = max(1, round(unit))
        width = cv2.getTextSize(text, _FONT, font, thick)[0][0]
        if width > room:
            font = max(0.33 * unit, font * room / width)
        while len(text) > 2 and cv2.getTextSize(text, _FONT, font, thick)[0][0] > room:
            text = text[:-3].rstrip('.') + '..'  # one character less
        cv2.putText(
            strip,
            text,
            (left, round(13 * unit)),
            _FONT,
            font,
            WHITE,
            thick,
            cv2.LINE_AA,
        )
        strips.append(strip)
    return strips
