"""Inner products by an isometry to arrays, through which each vector goes once."""

from collections.abc import Callable
from typing import Any

import torch

# as many as a step of conjugate gradients multiplies with each other
_KEPT = 6


class ProductsOfImages:
    """The inner product at one point where it is that of the images of the vectors under an isometry.

    It keeps the last vectors that it has met, with their images.

    Args:
        image: the isometry, to matrices.
        product: the inner product of two images.
    """

    __slots__ = ("_image", "_met", "_product")

    def __init__(
        self, image: Callable[[Any], torch.Tensor], product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> None:
        self._image, self._product = image, product
        self._met: list[tuple[Any, torch.Tensor]] = []

    def __call__(self, u: Any, v: Any) -> torch.Tensor:
        """Return the inner product of two vectors."""
        return self._product(self._image_of(u), self._image_of(v))

    def norm(self, u: Any) -> torch.Tensor:
        """Return the length of a vector, in the bits of the manifold's `norm`."""
        return torch.linalg.vector_norm(self._image_of(u), dim=(-2, -1))

    def _image_of(self, u: Any) -> torch.Tensor:
        for vector, image in self._met:
            if vector is u:
                return image
        image = self._image(u)
        self._met = [*self._met[1 - _KEPT :], (u, image)]
        return image
