"""What methods share that find objects without any label."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bas_mm.models.heads.cam_head import CAMHead, Losses
from bas_mm.registry import MODELS
from bas_mm.structures import Acts


def component_of(mask: torch.Tensor, seed: int) -> torch.Tensor:
    """Give the 4-connected component of a mask that a place is in.

    Args:
        mask: Shape ``(h, w)``, bool.
        seed: Index of the place in raster order.

    Returns:
        Shape ``(h, w)``, bool; the place alone where the mask is not set.

    Example:
        >>> component_of(torch.tensor([[True, False, True]]), 2).tolist()
        [[False, False, True]]
    """
    h, w = mask.shape
    inside = mask.tolist()
    found = torch.zeros(h, w, dtype=torch.bool)
    found[seed // w, seed % w] = True
    queue = deque([(seed // w, seed % w)] if inside[seed // w][seed % w] else [])
    while queue:
        y, x = queue.popleft()
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < h and 0 <= u < w and inside[v][u] and not found[v, u]:
                found[v, u] = True
                queue.append((v, u))
    return found.to(mask.device)


@MODELS.register_module()
class DiscoveryHead(CAMHead):
    """A head that sees no label: one mask an image, the same for every class.

    It has no weights, and its scores are the same for all classes: of the
    figures only those count that take the true class as given. For classes, put
    it beside a classifier (:class:`bas_mm.models.TwoNetworks`).

    A method is a subclass with :meth:`discover`. The mask is handed out as a
    map of 0 and 1, so that every metric and drawing works unchanged.

    Args:
        num_classes: Number of classes of the data.
        feat: Which of the features are read: 0 are the first, such as the keys
            of a :class:`bas_mm.models.TokenNeck`; -1 the trunk's last.
        center: Subtract the mean over the image from the features first. For
            features behind a ReLU, which all agree otherwise.
        **kwargs: Test options, see :class:`bas_mm.structures.TestOptions`.
    """

    #: Tells the commands that the trunk's weights are all there is.
    weightless = True

    def __init__(
        self,
        num_classes: int,
        feat: int = 0,
        center: bool = False,
        threshold: float | str = 0.5,
        map_label: str = 'pred',
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_classes,
            in_channels=1,
            num_convs=0,
            final_relu=False,
            threshold=threshold,
            map_label=map_label,
            **kwargs,
        )
        self.classifier = nn.Sequential()
        self.feat = feat
        self.center = center

    def discover(self, feat: torch.Tensor) -> torch.Tensor:
        """Find an object in each image.

        Args:
            feat: Features, ``(B, N, h, w)``.

        Returns:
            Masks, ``(B, h, w)`` bool.
        """
        raise NotImplementedError

    def forward(self, feats: Sequence[torch.Tensor]) -> Acts:
        """Hand the features on; all logits are 0.

        Args:
            feats: Feature maps of the neck.
        """
        last = feats[-1]
        shape = (len(last), self.num_classes)
        return Acts(tuple(feats), last.new_zeros(shape, dtype=torch.float32))

    def class_maps(self, acts: Acts, classes: torch.Tensor) -> torch.Tensor:
        """Give the masks as maps, the same for each class.

        Args:
            acts: Of :meth:`forward`.
            classes: Class indices, ``(B, K)``; only their number counts.

        Returns:
            Maps of 0 and 1, ``(B, K, h, w)``.
        """
        feat = acts.feats[self.feat]
        if self.center:
            feat = feat - feat.mean((2, 3), keepdim=True)
        masks = self.discover(feat).to(feat.device, torch.float32)
        return masks[:, None].expand(-1, classes.shape[1], -1, -1)

    def cls_loss(self, acts: Acts, target: torch.Tensor) -> Losses:
        """Refuse to train.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f'{type(self).__name__} sees no label and learns nothing: test its config '
            'without a checkpoint, `bas-mm test CONFIG`.'
        )
