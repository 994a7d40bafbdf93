"""DDT: what the images of one class have in common, without training."""

import torch


class DDT:
    """Deep descriptor transforming (Wei et al., Pattern Recognition 2019).

    The features at all places of all images of a class vary most along one
    direction: that from background to object. PSOL (CVPR 2020) makes its
    boxes with it.

    Args:
        feats: Features that all images share a class of, ``(n, N, h, w)``.

    Attributes:
        mean (Tensor): Mean feature, ``(N,)`` float64.
        axis (Tensor): The direction, of length 1, ``(N,)`` float64. A principal
            component has no sign of its own; here the place that lies
            farthest from the mean along it lies on the positive side.
    """

    def __init__(self, feats: torch.Tensor) -> None:
        if feats.ndim != 4 or not feats.numel():
            raise ValueError(
                f'`feats` has the shape {tuple(feats.shape)}; (n, N, h, w) is needed, '
                'with one image or more.'
            )
        # image by image: all at once in double precision would be too much
        self.mean = torch.stack([f.double().mean((1, 2)) for f in feats]).mean(0)
        covariance = 0
        for feat in feats:
            places = feat.flatten(1).double() - self.mean[:, None]  # (N, h * w)
            covariance = covariance + places @ places.T
        # in rising order of the eigenvalues
        self.axis = torch.linalg.eigh(covariance)[1][:, -1]
        along = torch.cat([self(feat[None]).flatten() for feat in feats])
        if along[along.abs().argmax()] < 0:
            self.axis = -self.axis

    def __call__(self, feats: torch.Tensor) -> torch.Tensor:
        """Project features, also those of other images of the class.

        Args:
            feats: Shape ``(n, N, h, w)``.

        Returns:
            float32, ``(n, h, w)``; above 0 is foreground.
        """
        centered = feats.double() - self.mean[:, None, None]
        return torch.einsum('bchw,c->bhw', centered, self.axis).float()


def ddt(feats: torch.Tensor) -> torch.Tensor:
    """Project the features of a class's images onto their first component.

    See :class:`DDT`.

    Args:
        feats: Shape ``(n, N, h, w)``.

    Returns:
        float32, ``(n, h, w)``; above 0 is foreground. Zeros where all places
        are the same.

    Raises:
        ValueError: If ``feats`` has another shape, or is empty.

    Example:
        >>> feats = torch.tensor([0.0, 0.0, 0.0, 4.0]).view(1, 1, 2, 2)
        >>> ddt(feats).tolist()
        [[[-1.0, -1.0], [-1.0, 3.0]]]
    """
    return DDT(feats)(feats)
