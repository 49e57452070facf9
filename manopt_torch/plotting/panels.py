"""What all pictures share: axes to draw into, and values as arrays."""

from typing import Any

import numpy as np
import torch

from manopt_torch.errors import ShapeError
from manopt_torch.functional.masked import host_read


def axes_or_new(name: str, axes: Any, figsize: tuple[float, float], **subplot: Any) -> Any:
    """Return the axes, or those of a new figure.

    Raises:
        ImportError: if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{name} needs matplotlib: pip install manopt_torch[plot]") from error
    return Figure(figsize=figsize, layout="constrained").add_subplot(**subplot) if axes is None else axes


def as_array(name: str, x: Any, own: tuple[int | None, ...], lead: int) -> np.ndarray:
    """Return a tensor as an array in double precision; `own` are its last axes, `lead` the number of those before.

    Raises:
        ShapeError: if the shape is another; None in `own` stands for any size.
    """
    x = torch.as_tensor(x)
    shape = tuple(x.shape)
    tail = shape[len(shape) - len(own) :]
    if len(shape) != lead + len(own) or any(n is not None and n != m for n, m in zip(own, tail, strict=True)):
        sizes = [*(["n", "m"][:lead]), *("k" if n is None else str(n) for n in own)]
        raise ShapeError(
            f"{name}: expected shape ({', '.join(sizes)}), got {shape}: draw one problem of a batch at a time"
        )
    with host_read():
        return x.detach().cpu().double().numpy()
