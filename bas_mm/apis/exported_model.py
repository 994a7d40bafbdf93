"""A model in an ONNX file, as the inferencer takes one."""

import os
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config

from bas_mm.apis import recipe
from bas_mm.apis.deploy import FORMATS, INPUT, OUTPUTS
from bas_mm.models.classifiers.localizer import Detail, Localizer
from bas_mm.models.data_preprocessor import WSOLDataPreprocessor
from bas_mm.models.heads.cam_head import select_maps
from bas_mm.models.heads.loc_head import LocHead
from bas_mm.structures import Acts


@dataclass(frozen=True)
class ExportedActs(Acts):
    """What a file gave for a batch.

    Attributes:
        best: The map of the best classes, ``(B, h, w)``.
        classes: Classes that have a map, ``(B, K)``.
        maps: Their maps, ``(B, K, h, w)``.
    """

    best: torch.Tensor | None = None
    classes: torch.Tensor | None = None
    maps: torch.Tensor | None = None


class ExportedModel(Localizer):
    """A model of ``bas-mm export-model``, run by onnxruntime.

    Args:
        path: The ONNX file.

    Attributes:
        about (Mapping): What the file says of itself.

    Raises:
        ImportError: If onnxruntime is missing.
        ValueError: If the file was not written by ``bas-mm export-model``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            self.session, self.about = recipe.load(self.path)
        except ImportError as error:
            raise ImportError(
                f'{self.path} needs onnxruntime: pip install onnxruntime, or give the '
                'checkpoint.'
            ) from error
        self.head = LocHead(
            len(self.about['classes']),
            topk=self.about['topk'],
            map_label='pred',
            threshold=self.about['threshold'],
            percentile=self.about['percentile'],
        )
        self.data_preprocessor = WSOLDataPreprocessor()

    @property
    def cfg(self) -> Config:
        """A config whose test pipeline makes the views."""
        height, width = self.about['size']
        resize = dict(type='Resize', scale=(width, height), backend='pillow')
        pipeline = [resize, dict(type='bas_mm.PackLocInputs')]
        return Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))

    def to(self, device: Any) -> 'ExportedModel':
        """Stay where onnxruntime is."""
        return self

    def eval(self) -> 'ExportedModel':
        """Stay as it is: nothing here can be trained."""
        return self

    def score(
        self, inputs: torch.Tensor, crops: torch.Tensor | None = None
    ) -> tuple[Acts, torch.Tensor, torch.Tensor]:
        """Run the file on views, BGR of 0 to 255; it knows no crops."""
        images = inputs.flip(1).round().to(torch.uint8).cpu().contiguous().numpy()
        found = self.session.run(list(OUTPUTS), {INPUT: images})
        scores, best, classes, maps = map(torch.from_numpy, found)
        acts = ExportedActs((), scores, None, best, classes, maps)
        return acts, scores, scores

    def maps(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give one map for each image, see :meth:`Localizer.maps`."""
        assert isinstance(acts, ExportedActs) and acts.best is not None
        best = acts.logits.topk(min(self.about['topk'], acts.logits.shape[1]), 1)
        if torch.equal(classes, best.indices):
            return acts.best
        return self.maps_of_each(acts, inputs, classes).mean(1)

    def maps_of_each(
        self,
        acts: Acts,
        inputs: torch.Tensor,
        classes: torch.Tensor,
        detail: Detail = None,
    ) -> torch.Tensor:
        """Give a map for each class.

        Raises:
            ValueError: If the file has none of a class.
        """
        assert isinstance(acts, ExportedActs)
        assert acts.maps is not None and acts.classes is not None
        found = acts.classes[:, None, :] == classes[:, :, None]  # (B, K, those)
        if not found.any(2).all():
            raise ValueError(
                f'{self.path} has maps of the {self.about["topk"]} best classes alone, '
                'and others are asked for: export it with --maps all, or a larger '
                '--topk.'
            )
        return select_maps(acts.maps, found.int().argmax(2)).float()


def open_exported(
    model: Any, weights: Any, view: str, fast: bool = False
) -> ExportedModel | None:
    """Open what was given as a model, if it is an exported one.

    Args:
        model: See :class:`bas_mm.apis.WSOLInferencer`.
        weights: See there; an exported model has its own.
        view: See there.
        fast: See there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If weights, another view or another precision are asked for.
    """
    end = FORMATS['onnx'].end
    given = [one for one in (model, weights) if one is not None]
    exported = [
        os.fspath(one)
        for one in given
        if isinstance(one, (str, os.PathLike)) and os.fspath(one).endswith(end)
    ]
    if not exported:
        return None
    path = exported[0]
    if len(given) > 1:
        raise ValueError(f'{path} is a whole model: give no config or weights with it.')
    if view != 'full':
        raise ValueError(
            f'{path} sees whole images (--view full); for the crop of the test '
            'pipeline give the checkpoint.'
        )
    if fast:
        raise ValueError(
            f'{path} runs as it was written: leave out `fast` (--fast), or give the '
            'checkpoint.'
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(f'There is no exported model {path!r}.')
    return ExportedModel(path)
