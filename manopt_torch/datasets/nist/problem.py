"""A NIST problem, and how it is read from the file that NIST published."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import torch

from manopt_torch.datasets.nist.models import AVERAGE, HIGHER, LOWER
from manopt_torch.errors import OptionsError

LEVELS = {"lower": LOWER, "average": AVERAGE, "higher": HIGHER}
# certified values are given to eleven digits
_DIGITS = 11.0


@dataclass(frozen=True, eq=False)
class NistProblem:
    r"""A problem of nonlinear regression whose solution is certified: minimise $\tfrac12\lVert m(b, x) - y\rVert^2$.

    Args:
        name: NIST's name of it.
        level: level of difficulty, "lower", "average" or "higher".
        formula: the model as the file writes it.
        x: predictor, shape `(n,)`; `(n, 2)` where there are two of them (Nelson).
        y: response, shape `(n,)`; its logarithm where the model is one of that (Nelson).
        starts: the two starts, far and near, shape `(2, p)`.
        certified: parameters at the minimum, shape `(p,)`, to eleven digits.
        standard_deviations: certified standard deviations of the parameters, shape `(p,)`.
        residual_sum_of_squares: certified $\lVert m(b, x) - y\rVert^2$ at the minimum.
        residual_standard_deviation: its root after division by the degrees of freedom.
        degrees_of_freedom: $n - p$.
        model: `model(b, x)`, for parameters `(*batch, p)`, shape `(*batch, n)`.
    """

    name: str
    level: str
    formula: str
    x: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)
    starts: torch.Tensor = field(repr=False)
    certified: torch.Tensor = field(repr=False)
    standard_deviations: torch.Tensor = field(repr=False)
    residual_sum_of_squares: float
    residual_standard_deviation: float
    degrees_of_freedom: int
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = field(repr=False)

    def residuals(
        self,
        b: torch.Tensor,  # shape: (*batch, p)
        x: torch.Tensor | None = None,
        y: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return `model(b, x) - y`, shape `(*batch, n)`; `x` and `y` are the problem's own unless given."""
        return self.model(b, self.x if x is None else x) - (self.y if y is None else y)

    def digits(
        self,
        b: torch.Tensor,  # shape: (*batch, p)
    ) -> torch.Tensor:
        """Return how many digits of every parameter agree with the certified ones, shape `(*batch,)`, from 0 to 11.

        Minus the decimal logarithm of the largest relative error; 0 for NaN.
        """
        error = ((b - self.certified) / self.certified).abs().amax(-1)
        return (-torch.log10(error)).nan_to_num(nan=0.0, posinf=_DIGITS).clamp(0.0, _DIGITS)


def names(level: str | None = None) -> tuple[str, ...]:
    """Return the names of the problems of one level of difficulty, or of all 27 in NIST's order.

    Raises:
        OptionsError: if there is no such level.

    Examples:
        >>> len(names()), names("higher")[:3]
        (27, ('MGH09', 'Thurber', 'BoxBOD'))
    """
    if level is None:
        return tuple(name for models in LEVELS.values() for name in models)
    if level not in LEVELS:
        raise OptionsError(f"level must be one of {', '.join(LEVELS)}, or None for all, got {level!r}")
    return tuple(LEVELS[level])


def load(name: str, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None) -> NistProblem:
    """Return a problem of the NIST Statistical Reference Datasets for nonlinear regression.

    Source: National Institute of Standards and Technology, Statistical Reference Datasets, the files as published
    (www.itl.nist.gov/div898/strd). A work of the United States government, in the public domain.

    Args:
        name: one of `names()`.
        dtype: dtype of the tensors; float64, since eleven digits are certified.
        device: where the tensors go; None is torch's default.

    Raises:
        OptionsError: if there is no such problem; the message lists them.

    References:
        [McCullough:1998], on how to judge by them.

    Examples:
        >>> problem = load("Misra1a")
        >>> problem.y.shape, problem.starts.tolist()
        (torch.Size([14]), [[500.0, 0.0001], [250.0, 0.0005]])
        >>> problem.digits(problem.certified).item()
        11.0
    """
    level = next((level for level, models in LEVELS.items() if name in models), None)
    if level is None:
        raise OptionsError(f"no NIST problem {name!r}; there are {', '.join(names())}")
    parsed = _read(name)

    def tensor(values: object) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    x, y, parameters = tensor(parsed.predictors), tensor(parsed.response), tensor(parsed.parameters)
    return NistProblem(
        name=name,
        level=level,
        formula=parsed.formula,
        x=x.squeeze(-1),
        y=y.log() if parsed.formula.startswith("log[y]") else y,
        starts=parameters[:, :2].mT.contiguous(),
        certified=parameters[:, 2].contiguous(),
        standard_deviations=parameters[:, 3].contiguous(),
        residual_sum_of_squares=parsed.sum_of_squares,
        residual_standard_deviation=parsed.standard_deviation,
        degrees_of_freedom=len(y) - len(parameters),
        model=LEVELS[level][name],
    )


@dataclass(frozen=True)
class _Parsed:
    """What a file says."""

    formula: str
    parameters: list[list[float]]  # of each parameter: two starts, certified value, standard deviation
    sum_of_squares: float
    standard_deviation: float
    response: list[float]
    predictors: list[list[float]]


@cache
def _read(name: str) -> _Parsed:
    text = files("manopt_torch.datasets.nist").joinpath(f"{name}.dat").read_text(encoding="ascii")
    # the header names its sections; the last "Data:" is the table's
    head, _, table = text.rpartition("Data:")
    rows = [[float(number) for number in line.split()] for line in table.splitlines()[1:] if line.strip()]
    parameters = re.findall(r"^\s*b\d+\s*=((?:\s+\S+){4})\s*$", head, re.MULTILINE)

    def certified(what: str) -> float:
        return float(re.findall(rf"^{what}:\s*(\S+)", head, re.MULTILINE)[0])

    return _Parsed(
        formula=_formula(head),
        parameters=[[float(number) for number in line.split()] for line in parameters],
        sum_of_squares=certified("Residual Sum of Squares"),
        standard_deviation=certified("Residual Standard Deviation"),
        response=[row[0] for row in rows],
        predictors=[row[1:] for row in rows],
    )


def _formula(head: str) -> str:
    """Return the equation of the model, from `y =` to the error `e`, on one line."""
    equations = re.findall(r"((?:log\[y\]|y)\s*=.*?)\s*\+\s*e\b", head[head.index("Model:") :], re.DOTALL)
    return re.sub(r"\s+", " ", equations[0])
