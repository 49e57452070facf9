"""Names for the kinds of values that cross module borders."""

from typing import Any, TypeAlias

import torch

# A point (or tangent vector) is a tensor, or a tuple of them for product and factored manifolds.
Point: TypeAlias = torch.Tensor | tuple["Point", ...]
Tangent: TypeAlias = Point
Parts: TypeAlias = tuple[Any, ...]  # a point or tangent vector known to be a tuple

# A scalar of a lane: a Python number in a lone run, a tensor of shape (*batch,) in a batch.
Scalar: TypeAlias = Any
Mask: TypeAlias = Any
