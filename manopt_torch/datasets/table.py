"""A small public table of measurements, and the many problems that resampling its rows makes of it."""

import csv
from importlib.resources import files
from typing import NamedTuple

import torch

from manopt_torch.errors import OptionsError, ShapeError


class Table(NamedTuple):
    """A table of numbers whose rows fall into groups.

    Attributes:
        values: the numbers, shape `(rows, columns)`.
        labels: the group of each row, an index into `names`, shape `(rows,)`, int64.
        names: what the groups are called.
        columns: what the columns are called.
    """

    values: torch.Tensor
    labels: torch.Tensor
    names: tuple[str, ...]
    columns: tuple[str, ...]


def load_iris(*, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Table:
    """Return Fisher's iris data: four lengths of 150 flowers, fifty of each of three species.

    Sepal length, sepal width, petal length and petal width in centimetres, measured by E. Anderson to a millimetre.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7 (1936),
    179-188, table I. The numbers are those printed there, as in R and scikit-learn; the copy of the UCI repository
    differs in rows 35 and 38. They are plain measurements, published in 1936 and treated as being in the public domain.

    Args:
        dtype: dtype of the values; None is torch's default.
        device: where the tensors go; None is torch's default.

    Shapes:
        values: `(150, 4)`, labels: `(150,)`.

    Examples:
        >>> iris = load_iris()
        >>> iris.values.shape, iris.names
        (torch.Size([150, 4]), ('setosa', 'versicolor', 'virginica'))
    """
    text = files("manopt_torch.datasets").joinpath("iris.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    names = tuple(dict.fromkeys(row[-1] for row in rows))
    return Table(
        values=torch.tensor([[float(number) for number in row[:-1]] for row in rows], dtype=dtype, device=device),
        labels=torch.tensor([names.index(row[-1]) for row in rows], device=device),
        names=names,
        columns=tuple(header[:-1]),
    )


def covariance_blocks(
    values: torch.Tensor,  # shape: (rows, n)
    labels: torch.Tensor | None,  # shape: (rows,), int64
    count: int,
    size: int,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    r"""Return covariance matrices of bootstrap samples of a table: as many problems from real numbers as one likes.

    Matrix $k$ is $\tfrac{1}{m - 1} \sum_{j=1}^{m} (z_j - \bar z)(z_j - \bar z)^\top$ for $m$ rows drawn with
    replacement from one group of the table: group 0 for $k = 0$, group 1 for $k = 1$, and round again after the last.
    With $m$ well above $n$ the matrices are positive definite unless the columns are linearly dependent.

    Args:
        values: the table.
        labels: the group of each row, numbered from 0 without gaps; None is one group.
        count: how many matrices.
        size: $m$, rows in a sample, at least 2.
        generator: source of the draws, for results that can be repeated.

    Returns:
        The matrices, shape `(count, n, n)`, in the squared unit of the table.

    Raises:
        ShapeError: if values and labels do not fit together.
        OptionsError: if `size` or `count` is too small, or a group is empty.

    Examples:
        >>> iris = load_iris()
        >>> covariance_blocks(iris.values, iris.labels, 6, 50, torch.Generator().manual_seed(0)).shape
        torch.Size([6, 4, 4])
    """
    drawn = values[_drawn_rows(values, labels, count, size, generator)]
    centred = drawn - drawn.mean(-2, keepdim=True)
    return centred.mT @ centred / (size - 1)


def _drawn_rows(
    values: torch.Tensor, labels: torch.Tensor | None, count: int, size: int, generator: torch.Generator | None
) -> torch.Tensor:
    """Draw row numbers, shape `(count, size)`, the k-th line from group k modulo the number of groups."""
    if values.dim() != 2:
        raise ShapeError(f"values must be a table of shape (rows, n), got {tuple(values.shape)}")
    if count < 1 or size < 2:
        raise OptionsError(f"covariance_blocks: count must be at least 1 and size at least 2, got {count} and {size}")
    groups = torch.zeros(len(values), dtype=torch.int64, device=values.device) if labels is None else labels
    if groups.shape != values.shape[:1]:
        raise ShapeError(f"labels need shape ({len(values)},), one for each row, got {tuple(groups.shape)}")
    sizes = torch.bincount(groups)
    if bool((sizes == 0).any()):
        raise OptionsError(f"labels must be numbered from 0 without gaps, got groups of {sizes.tolist()} rows")
    order = torch.argsort(groups, stable=True)  # the rows of one group stand together
    group = torch.arange(count, device=values.device) % len(sizes)
    source = values.device if generator is None else generator.device
    share = torch.rand(count, size, generator=generator, device=source).to(values.device)
    # rounding must not lead into the next group
    place = torch.minimum((share * sizes[group, None]).long(), sizes[group, None] - 1)
    return order[(sizes.cumsum(0) - sizes)[group, None] + place]
