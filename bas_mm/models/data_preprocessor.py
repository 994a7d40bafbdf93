"""Data preprocessor that knows the extra crops of a ten-crop test."""

from typing import Any

import torch
from mmpretrain.models import ClsDataPreprocessor

from bas_mm.registry import MODELS


@MODELS.register_module()
class WSOLDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessor; normalizes ``crops`` as it does ``inputs``.

    ``inputs`` are the views, which localize and are drawn. ``crops``, where
    the pipeline packs them, are the other crops of each image, which only
    help to classify it. ``detail``, the image's own pixels, stays as it is.

    Args:
        channels_last: Lay the views out channels-last, and with them
            everything after; the weights too, in the models of this package.
            The same numbers, to rounding. On one thread of a CPU a BAS step of
            8 images then takes 0.83 of its time with EfficientNet-Lite0, but 1.09
            with MobileNetV1 and 1.04 with ResNet50. The weights change nothing
            there (0.99 to 1.01); GPUs would lay them out at every pass.
        **kwargs: Passed to :class:`mmpretrain.models.ClsDataPreprocessor`.
    """

    def __init__(self, channels_last: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.memory_format = (
            torch.channels_last if channels_last else torch.contiguous_format
        )

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalize a batch.

        Args:
            data: ``inputs`` (uint8 ``(3, h, w)`` each), optionally
                ``crops`` (uint8 ``(n, 3, h, w)`` each), ``detail`` (uint8
                ``(3, H, W)`` each, any size) and ``data_samples``.
            training: Whether batch augmentations apply.

        Returns:
            ``inputs`` ``(B, 3, h, w)``, ``data_samples`` and, where
            given, ``crops`` ``(B, n, 3, h, w)``, float; and ``detail``, a list.
        """
        out = super().forward(data, training)
        out['inputs'] = out['inputs'].contiguous(memory_format=self.memory_format)
        if 'crops' in data:
            crops = data['crops']  # collated, or one tensor for each image
            flat = (
                crops.flatten(0, 1)
                if isinstance(crops, torch.Tensor)
                else [crop for image in crops for crop in image]
            )
            flat = super().forward(dict(inputs=flat))['inputs']
            out['crops'] = flat.unflatten(0, (len(crops), -1))
        if 'detail' in data:
            out['detail'] = self.cast_data(list(data['detail']))
        return out
