"""Trained models as files that run without this package."""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

import bas_mm
from bas_mm.apis import recipe
from bas_mm.apis.images import view_size
from bas_mm.apis.model import pipeline_of
from bas_mm.localization.maps import AUTO_SHARE

#: Name of the description inside a file.
DESCRIPTION = 'bas_mm'
INPUT = 'images'
#: What a file gives, in this order.
OUTPUTS = ('scores', 'map', 'classes', 'maps')
#: Largest difference to the model itself that is let pass.
TOLERANCE = 1e-4


class Graph(nn.Module):
    """A model from images to scores and maps, all with tensors.

    Args:
        model: A localizer, in eval mode.
        size: ``(h, w)`` of its views, in pixels.
        topk: The map is the mean of the maps of so many best classes.
        every: Give the maps of all classes, not of the best alone.
    """

    def __init__(
        self, model: Any, size: tuple[int, int], topk: int, every: bool
    ) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.topk = topk
        self.every = every

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Resize, normalize, classify and map.

        Args:
            images: RGB, ``(B, 3, H, W)``, 0 to 255, of any size.

        Returns:
            ``scores`` ``(B, C)``, softmax; ``map`` ``(B, h, w)``, before any
            normalization; ``classes`` ``(B, K)``, the best first, or all; and
            ``maps`` ``(B, K, h, w)``, one for each of these.
        """
        views = F.interpolate(
            images.float(), self.size, mode='bilinear', antialias=True
        )
        # loaders of OpenCV give BGR, and so the preprocessor takes it
        views = self.model.data_preprocessor(dict(inputs=views.flip(1)))['inputs']
        acts, view_scores, scores = self.model.score(views)
        best = view_scores.topk(self.topk, 1).indices
        classes = best
        if self.every:
            number = torch.arange(view_scores.shape[1], device=best.device)
            classes = number.expand(best.shape[0], -1)
        maps = self.model.maps_of_each(acts, views, classes)
        return scores, self.model.maps(acts, views, best), classes, maps


class Format(NamedTuple):
    """A format of files.

    Attributes:
        end: What names of files end in.
        write: Writes a graph: it, an example of the images, the description,
            the path.
        run: Gives what runs such a file on images ``(B, 3, H, W)`` uint8.
    """

    end: str
    write: Callable[[Graph, torch.Tensor, str, str], None]
    run: Callable[[str], Callable[[np.ndarray], list[np.ndarray]]]


def _dynamic() -> tuple[dict[int, Any]]:
    Dim = torch.export.Dim
    return ({0: Dim('batch'), 2: Dim('height'), 3: Dim('width')},)


def _write_onnx(graph: Graph, images: torch.Tensor, text: str, path: str) -> None:
    import onnx

    program = torch.onnx.export(
        graph,
        (images,),
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_shapes=_dynamic(),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    proto.metadata_props.add(key=DESCRIPTION, value=text)
    onnx.save(proto, path)


def _run_onnx(path: str) -> Callable[[np.ndarray], list[np.ndarray]]:
    session, _ = recipe.load(path)
    return lambda images: session.run(None, {INPUT: images})


def _write_script(graph: Graph, images: torch.Tensor, text: str, path: str) -> None:
    traced = torch.jit.trace(graph, images, check_trace=False)
    torch.jit.save(traced, path, _extra_files={f'{DESCRIPTION}.json': text})


def _write_program(graph: Graph, images: torch.Tensor, text: str, path: str) -> None:
    program = torch.export.export(graph, (images,), dynamic_shapes=_dynamic())
    torch.export.save(program, path, extra_files={f'{DESCRIPTION}.json': text})


def _runner(load: Callable[[str], Any]) -> Callable:
    def open_file(path: str) -> Callable[[np.ndarray], list[np.ndarray]]:
        module = load(path)
        return lambda images: [
            x.detach().numpy() for x in module(torch.from_numpy(images))
        ]

    return open_file


FORMATS = {
    'onnx': Format('.onnx', _write_onnx, _run_onnx),
    'torchscript': Format('.torchscript', _write_script, _runner(torch.jit.load)),
    'pt2': Format(
        '.pt2', _write_program, _runner(lambda p: torch.export.load(p).module())
    ),
}


def describe_model(
    cfg: Config, model: Any, classes: list[str], topk: int, every: bool
) -> dict[str, Any]:
    """Say what whoever runs a file has to know.

    Args:
        cfg: The config of the model.
        model: The model.
        classes: Names of its classes.
        topk: See :class:`Graph`.
        every: See :class:`Graph`.
    """
    options = model.head.test_options()
    share = AUTO_SHARE if options.threshold == 'auto' else 1
    return dict(
        version=bas_mm.__version__,
        size=list(view_size(pipeline_of(cfg))),
        classes=classes,
        topk=topk,
        maps='all' if every else 'best',
        threshold=options.threshold,
        percentile=options.percentile,
        otsu_share=share,
    )


@torch.no_grad()
def export_model(
    cfg: Config,
    model: Any,
    classes: list[str],
    path: str,
    file_format: str,
    every: bool = False,
) -> tuple[dict[str, float], Path]:
    """Write a model to a file, and the recipe for its boxes beside it.

    What was written is run, on more images and other sizes than it was made
    with, and compared with the model itself; a file that was there before stays
    until the new one has passed.

    Args:
        cfg: The config of the model.
        model: The model, in eval mode on the CPU.
        classes: Names of its classes.
        path: The file.
        file_format: Of :data:`FORMATS`.
        every: Give the maps of all classes, not of the best alone.

    Returns:
        The largest difference of each output, and the path of the recipe.

    Raises:
        ImportError: If a package is missing.
        ValueError: If what was written gives other numbers than the model.
    """
    kind = FORMATS[file_format]
    topk = min(model.head.test_options().topk, model.num_classes)
    about = describe_model(cfg, model, classes, topk, every)
    height, width = about['size']
    graph = Graph(model, (height, width), topk, every).eval()
    example = _images(2, height + 3, width + 5)
    _require(file_format)
    place = Path(path)
    part = place.with_name(f'.{place.stem}.part{kind.end}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of tracing: what counts is compared
            kind.write(graph, example, json.dumps(about), str(part))
        worst = _compare(graph, kind.run(str(part)))
        if not all(value <= TOLERANCE for value in worst.values()):
            raise ValueError(
                f'The file gives other numbers than the model itself (largest '
                f'differences {worst}) and is not kept: this model cannot be exported '
                f'to {file_format}; try another --format of {", ".join(FORMATS)}.'
            )
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)
    beside = place.with_name(f'{place.stem}_recipe.py')
    shutil.copyfile(recipe.__file__, beside)
    return worst, beside


def _compare(
    graph: Graph, run: Callable[[np.ndarray], list[np.ndarray]]
) -> dict[str, float]:
    """Give the largest difference of each output, NaN where one is."""
    height, width = graph.size
    worst = dict.fromkeys(OUTPUTS, 0.0)
    for images in (_images(3, height, width), _images(1, 2 * height, width + 1)):
        for name, ours, theirs in zip(OUTPUTS, graph(images), run(images.numpy())):
            error = np.abs(ours.double().numpy() - theirs.astype(np.float64)).max()
            worst[name] = float(np.maximum(worst[name], error))  # keeps NaN
    return worst


def _images(number: int, height: int, width: int) -> torch.Tensor:
    """Draw images of random noise and gradients, the same each time."""
    draw = torch.Generator().manual_seed(number)
    ramp = torch.linspace(0, 128, width).expand(number, 3, height, width)
    noise = torch.rand(number, 3, height, width, generator=draw) * 127
    return (ramp + noise).to(torch.uint8)


def _require(file_format: str) -> None:
    """Check for the packages that ONNX needs.

    Raises:
        ImportError: If one is missing.
    """
    if file_format != 'onnx':
        return
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'--format onnx needs the package {error.name}: pip install '
            "'bas_mm[deploy]', or give --format pt2 or torchscript."
        ) from error
