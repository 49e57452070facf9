import pytest
import torch

from manopt_torch.datasets import Table, covariance_blocks, load_iris
from manopt_torch.errors import OptionsError, ShapeError

# Fisher (1936), table II: means of the species, in centimetres
MEANS = [
    [5.006, 3.428, 1.462, 0.246],
    [5.936, 2.770, 4.260, 1.326],
    [6.588, 2.974, 5.552, 2.026],
]
# variances of the setosa columns as R prints them, var(iris[1:50, k])
SETOSA_VARIANCES = [0.12424898, 0.14368980, 0.03015918, 0.01110612]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def group(iris, k):
    return iris.values[iris.labels == k]


def test_the_table_has_the_published_means_and_variances():
    iris = load_iris(dtype=torch.float64)
    means = torch.stack([group(iris, k).mean(0) for k in range(3)])
    torch.testing.assert_close(means, torch.tensor(MEANS, dtype=torch.float64), atol=1e-12, rtol=0)
    variances = group(iris, 0).var(0)
    torch.testing.assert_close(variances, torch.tensor(SETOSA_VARIANCES, dtype=torch.float64), atol=1e-8, rtol=0)


def test_rows_35_and_38_are_those_of_the_paper_not_of_the_uci_copy():
    values = load_iris(dtype=torch.float64).values
    assert values[34].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert values[37].tolist() == [4.9, 3.6, 1.4, 0.1]


def test_shapes_names_and_groups():
    iris = load_iris()
    assert isinstance(iris, Table)
    assert iris.values.shape == (150, 4) and iris.labels.dtype == torch.int64
    assert iris.names == ("setosa", "versicolor", "virginica")
    assert iris.columns == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert iris.labels.bincount().tolist() == [50, 50, 50]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_are_asked_for(dtype):
    iris = load_iris(dtype=dtype, device="cpu")
    assert iris.values.dtype == dtype
    assert covariance_blocks(iris.values, iris.labels, 3, 10, seeded()).dtype == dtype


def test_blocks_are_symmetric_positive_definite_and_repeatable():
    iris = load_iris(dtype=torch.float64)
    blocks = covariance_blocks(iris.values, iris.labels, 3000, 50, seeded())
    assert torch.equal(blocks, covariance_blocks(iris.values, iris.labels, 3000, 50, seeded()))
    torch.testing.assert_close(blocks, blocks.mT, atol=1e-15, rtol=0)
    assert torch.linalg.eigvalsh(blocks)[:, 0].min() > 1e-4


def test_blocks_go_round_the_groups():
    # the bootstrap mean of a covariance is (m - 1) / m of the one with divisor m: for m = 50, 49/50 of var
    iris = load_iris(dtype=torch.float64)
    blocks = covariance_blocks(iris.values, iris.labels, 6000, 50, seeded())
    for k in range(3):
        expected = torch.cov(group(iris, k).T) * 49 / 50
        # 2000 samples of 50 rows: the standard error of an entry is about 0.5 % of the largest
        torch.testing.assert_close(blocks[k::3].mean(0), expected, atol=0.02 * expected.max().item(), rtol=0)


def test_a_block_is_the_covariance_of_rows_of_its_group_only():
    values = torch.tensor([[0.0], [0.0], [7.0], [7.0], [7.0]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    assert torch.equal(covariance_blocks(values, labels, 200, 4, seeded()), torch.zeros(200, 1, 1))
    assert covariance_blocks(values, None, 50, 4, seeded()).max() > 0


def test_rows_of_a_group_need_not_stand_together():
    iris = load_iris(dtype=torch.float64)
    order = torch.arange(150).reshape(3, 50).T.flatten()  # one row of each species in turn
    mixed = covariance_blocks(iris.values[order], iris.labels[order], 30, 20, seeded())
    assert torch.equal(mixed, covariance_blocks(iris.values, iris.labels, 30, 20, seeded()))


@pytest.mark.parametrize(
    ("values", "labels", "count", "size", "error", "match"),
    [
        (torch.zeros(4), None, 1, 2, ShapeError, "table"),
        (torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64), 1, 2, ShapeError, r"\(4,\)"),
        (torch.zeros(4, 2), None, 0, 2, OptionsError, "at least 1"),
        (torch.zeros(4, 2), None, 1, 1, OptionsError, "at least 2"),
        (torch.zeros(4, 2), torch.tensor([0, 0, 2, 2]), 1, 2, OptionsError, "without gaps"),
    ],
)
def test_wrong_arguments_are_named(values, labels, count, size, error, match):
    with pytest.raises(error, match=match):
        covariance_blocks(values, labels, count, size)
