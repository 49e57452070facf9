"""The NIST problems: what the files say, and that the models are those of the files."""

import pytest
import torch

from manopt_torch import OptionsError
from manopt_torch.datasets import nist
from tests.together import together

D = torch.float64
every_problem = pytest.mark.parametrize("name", nist.names())


def test_there_are_27_problems_of_three_levels():
    # the counts of NIST's own list
    assert [len(nist.names(level)) for level in ("lower", "average", "higher")] == [8, 11, 8]
    assert len(set(nist.names())) == 27
    assert all(nist.load(name).level == "higher" for name in nist.names("higher"))


@together()
@every_problem
def test_the_certified_parameters_have_the_certified_residuals(name):
    p = nist.load(name)
    r = p.residuals(p.certified)
    found = (r * r).sum().item()
    # eleven digits of parameters leave Lanczos1, whose residuals are 1e-13, without any
    assert found == pytest.approx(p.residual_sum_of_squares, rel=2e-10, abs=1e-20)
    sigma = (p.residual_sum_of_squares / p.degrees_of_freedom) ** 0.5
    assert sigma == pytest.approx(p.residual_standard_deviation, rel=2e-10)


@every_problem
def test_the_certified_standard_deviations_follow_from_the_jacobian(name):
    p = nist.load(name)
    J = torch.autograd.functional.jacobian(p.residuals, p.certified)
    # columns of unit length, since they differ by up to 1e10
    length = J.norm(dim=0)
    inverse = torch.linalg.pinv(J / length, rtol=1e-15) / length[:, None]
    deviations = p.residual_standard_deviation * inverse.norm(dim=1)
    torch.testing.assert_close(deviations, p.standard_deviations, rtol=2e-6, atol=0)


@together()
@every_problem
def test_shapes_and_a_batch(name):
    p = nist.load(name)
    n, k = len(p.y), len(p.certified)
    assert p.starts.shape == (2, k) and p.standard_deviations.shape == (k,) and p.degrees_of_freedom == n - k
    assert p.x.shape == ((n, 2) if name == "Nelson" else (n,))
    alone = torch.stack([p.residuals(b) for b in p.starts])
    torch.testing.assert_close(p.residuals(p.starts), alone, rtol=1e-14, atol=0, equal_nan=True)
    data = (p.x.expand(3, 2, *p.x.shape), p.y.expand(3, 2, n))
    batch = p.residuals(p.starts.expand(3, 2, k), *data)
    torch.testing.assert_close(batch, alone.expand(3, 2, n), rtol=1e-14, atol=0, equal_nan=True)
    assert p.digits(p.starts.expand(3, 2, k)).shape == (3, 2)


def test_values_of_a_file():
    p = nist.load("Rat43")
    assert p.formula == "y = b1 / ((1+exp[b2-b3*x])**(1/b4))"
    assert p.y.tolist()[:3] == [16.08, 33.83, 65.80] and p.x.tolist()[-1] == 15.0
    assert p.starts.tolist() == [[100, 10, 1, 1], [700, 5, 0.75, 1.3]]
    assert p.certified.tolist() == [6.9964151270e02, 5.2771253025e00, 7.5962938329e-01, 1.2792483859e00]
    assert p.standard_deviations.tolist()[0] == 1.6302297817e01
    assert p.residual_sum_of_squares == 8.7864049080e03 and p.degrees_of_freedom == 11


def test_nelson_is_fitted_to_the_logarithm():
    p = nist.load("Nelson")
    assert p.y[0].item() == pytest.approx(torch.tensor(15.0, dtype=D).log().item(), rel=1e-15)
    assert p.x[0].tolist() == [1.0, 180.0]


def test_digits():
    p = nist.load("DanWood")
    off = p.certified * (1 + torch.tensor([[0.0, 0.0], [1e-4, 1e-6], [torch.nan, 0.0], [5.0, 0.0]], dtype=D))
    torch.testing.assert_close(p.digits(off), torch.tensor([11.0, 4, 0, 0], dtype=D), rtol=1e-6, atol=0)


def test_dtype_and_device_are_asked_for():
    p = nist.load("BoxBOD", dtype=torch.float32, device="cpu")
    assert {t.dtype for t in (p.x, p.y, p.starts, p.certified, p.standard_deviations)} == {torch.float32}


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(OptionsError, match="no NIST problem 'Rat44'; there are Misra1a"):
        nist.load("Rat44")
    with pytest.raises(OptionsError, match="lower, average, higher"):
        nist.names("easy")
