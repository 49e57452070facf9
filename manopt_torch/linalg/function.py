"""The base of functions whose derivatives are written by hand."""

import inspect
from typing import Any

import torch


class Function(torch.autograd.Function):
    """A `torch.autograd.Function` whose calls do not ask Python for the signature of `forward` each time.

    torch binds the arguments of every call to that signature; to find it takes as long as a small function itself.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.forward.__signature__ = inspect.signature(cls.forward)  # pyright: ignore[reportFunctionMemberAccess]
