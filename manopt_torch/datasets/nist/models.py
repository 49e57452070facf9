"""The models of the NIST problems, as functions of a batch of parameters.

Each takes parameters of shape `(*batch, p)` and predictors of shape `(n,)` or `(*batch, n)`, with an axis of two behind
for Nelson, and returns `(*batch, n)`. Parameters are numbered as in the files.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _parts(b: Tensor) -> tuple[Tensor, ...]:
    """Split parameters of shape `(*batch, p)` into p tensors `(*batch, 1)`."""
    return b.unsqueeze(-1).unbind(-2)


def _bennett(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    return b1 * (b2 + x) ** (-1 / b3)


def _box_bod(b: Tensor, x: Tensor) -> Tensor:
    b1, b2 = _parts(b)
    return b1 * (1 - torch.exp(-b2 * x))


def _chwirut(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    return torch.exp(-b1 * x) / (b2 + b3 * x)


def _dan_wood(b: Tensor, x: Tensor) -> Tensor:
    b1, b2 = _parts(b)
    return b1 * x**b2


def _eckerle(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    return b1 / b2 * torch.exp(-0.5 * ((x - b3) / b2) ** 2)


def _enso(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5, b6, b7, b8, b9 = _parts(b)
    year, first, second = (2 * math.pi * x / period for period in (12, b4, b7))
    annual = b2 * torch.cos(year) + b3 * torch.sin(year)
    cycles = b5 * torch.cos(first) + b6 * torch.sin(first) + b8 * torch.cos(second) + b9 * torch.sin(second)
    return b1 + annual + cycles


def _gauss(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5, b6, b7, b8 = _parts(b)
    peaks = b3 * torch.exp(-(((x - b4) / b5) ** 2)) + b6 * torch.exp(-(((x - b7) / b8) ** 2))
    return b1 * torch.exp(-b2 * x) + peaks


def _cubic_ratio(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5, b6, b7 = _parts(b)
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


def _kirby(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5 = _parts(b)
    return (b1 + x * (b2 + x * b3)) / (1 + x * (b4 + x * b5))


def _lanczos(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5, b6 = _parts(b)
    return b1 * torch.exp(-b2 * x) + b3 * torch.exp(-b4 * x) + b5 * torch.exp(-b6 * x)


def _kowalik_osborne(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4 = _parts(b)
    return b1 * (x * x + x * b2) / (x * x + x * b3 + b4)


def _meyer(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    return b1 * torch.exp(b2 / (x + b3))


def _osborne(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4, b5 = _parts(b)
    return b1 + b2 * torch.exp(-x * b4) + b3 * torch.exp(-x * b5)


def _misra_b(b: Tensor, x: Tensor) -> Tensor:
    b1, b2 = _parts(b)
    return b1 * (1 - (1 + b2 * x / 2) ** -2)


def _misra_c(b: Tensor, x: Tensor) -> Tensor:
    b1, b2 = _parts(b)
    return b1 * (1 - (1 + 2 * b2 * x) ** -0.5)


def _misra_d(b: Tensor, x: Tensor) -> Tensor:
    b1, b2 = _parts(b)
    return b1 * b2 * x / (1 + b2 * x)


def _nelson(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    time, temperature = x.unbind(-1)
    return b1 - b2 * time * torch.exp(-b3 * temperature)


def _rat_logistic(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3 = _parts(b)
    return b1 / (1 + torch.exp(b2 - b3 * x))


def _rat_richards(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4 = _parts(b)
    return b1 / (1 + torch.exp(b2 - b3 * x)) ** (1 / b4)


def _roszman(b: Tensor, x: Tensor) -> Tensor:
    b1, b2, b3, b4 = _parts(b)
    return b1 - b2 * x - torch.atan(b3 / (x - b4)) / math.pi


# name -> model, in NIST's order of difficulty
LOWER: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Misra1a": _box_bod,
    "Chwirut2": _chwirut,
    "Chwirut1": _chwirut,
    "Lanczos3": _lanczos,
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "DanWood": _dan_wood,
    "Misra1b": _misra_b,
}
AVERAGE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Kirby2": _kirby,
    "Hahn1": _cubic_ratio,
    "Nelson": _nelson,
    "MGH17": _osborne,
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Gauss3": _gauss,
    "Misra1c": _misra_c,
    "Misra1d": _misra_d,
    "Roszman1": _roszman,
    "ENSO": _enso,
}
HIGHER: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "MGH09": _kowalik_osborne,
    "Thurber": _cubic_ratio,
    "BoxBOD": _box_bod,
    "Rat42": _rat_logistic,
    "MGH10": _meyer,
    "Eckerle4": _eckerle,
    "Rat43": _rat_richards,
    "Bennett5": _bennett,
}
