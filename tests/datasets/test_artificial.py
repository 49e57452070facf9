"""Artificial data, entry by entry against their definitions."""

import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    OptionsError,
    Power,
    Product,
    Sphere,
    Stiefel,
    SymmetricPositiveDefinite,
    add_noise,
    artificial_in_sar_image,
    artificial_s1_signal,
    artificial_s1_slope_signal,
    artificial_s2_lemniscate,
    artificial_s2_rotations_image,
    artificial_s2_whirl_image,
    artificial_s2_whirl_patch,
    artificial_spd_image,
    artificial_spd_image2,
)

pi = math.pi


def wrapped(angle):
    return (angle + pi) % (2 * pi) - pi


def same_angle(a, b, tolerance=1e-12):
    assert abs(wrapped(float(a) - b)) < tolerance


def test_circle_signal():
    f = artificial_s1_signal(33)
    value = {
        0: -24 * pi / 16 + 0.75 * pi,
        8: 0.75 * pi,
        10: 4 * pi * 10 / 32 - pi / 4,
        14: -pi * 14 / 32 - 0.375 * pi,
        17: -7 / 8 * pi,
        20: -pi,
        23: -9 / 8 * pi,
        28: -10 / 8 * pi,
        30: 1.5 * pi * math.exp(8 - 16) - 0.75 * pi,
        32: -0.75 * pi,
    }
    for j, v in value.items():
        same_angle(f[j], v)
    assert bool(((f >= -pi) & (f < pi)).all())


def test_slope_signal():
    f = artificial_s1_slope_signal(13, 4.0)
    same_angle(f[0], -pi / 2)
    # two samples in each sixth, of which each begins where the last sample of the one before has ended
    truth = [-pi / 2]
    for j in range(6):
        start = truth[-1]
        truth += [start + pi / 2 * 2**j * k / 12 for k in (1, 2)]
    for a, b in zip(f, truth, strict=True):
        same_angle(a, b)


def test_phase_image():
    n = 24
    image = artificial_in_sar_image(n)
    t = [-0.5 + j / (n - 1) for j in range(n)]

    def turned(i, j, degrees):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return c * t[i] - s * t[j], c * t[j] + s * t[i]

    for i in range(n):
        for j in range(n):
            x, y = turned(i, j, 35)
            value = 10 * pi * y if 6 * x * x + 25 * y * y <= 1 else 0.0
            x, y = turned(i, j, 45)
            r = ((x - 0.275) ** 2 + (y - 0.275) ** 2) / 0.18**2
            value += 4 * pi * (1 - r) if r <= 1 else 0.0
            x, y = turned(i, j, 60)
            for m in range(1, 9):
                value += pi * m / 4 if abs(x - 0.475 + m * 0.075) + abs(y - 0.0625 + m * 0.075) <= 0.075 else 0.0
            same_angle(image[i, j], value, 1e-10)


def test_sphere_images():
    image, patch = artificial_s2_rotations_image(8, (0.5, 0.25)), artificial_s2_whirl_patch(4)
    for i in range(8):
        for j in range(8):
            x, y = (i + 1) / 8 * pi, (j + 1) / 8 * pi / 2
            truth = [-math.sin(x - y) * math.cos(x + y), -math.sin(x - y) * math.sin(x + y), math.cos(x - y)]
            torch.testing.assert_close(image[i, j], torch.tensor(truth, dtype=torch.float64))
    for i in range(4):
        for j in range(4):
            a, b = math.atan2(j - 1.5, i - 1.5), math.hypot(i - 1.5, j - 1.5) / (math.sqrt(4.5) * 3 / pi)
            truth = [math.sin(a) * math.cos(b), -math.cos(a) * math.cos(b), math.sin(b)]
            torch.testing.assert_close(patch[i, j], torch.tensor(truth, dtype=torch.float64))
    # a whirl of nine rows around entry (35, 7), counted from one, moved inwards to column 9 + 1
    whirl = artificial_s2_whirl_image(64)
    torch.testing.assert_close(whirl[30:39, 5:14], artificial_s2_whirl_patch(9))
    torch.testing.assert_close(whirl[0, 40], artificial_s2_rotations_image(64)[0, 40])
    for n in (16, 31, 64, 100):
        Power(Sphere(3), n, n).check_point(artificial_s2_whirl_image(n))


def test_lemniscate():
    p = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    M, x = Sphere(3), artificial_s2_lemniscate(p, 65)
    t = torch.linspace(0, 2 * pi, 65, dtype=torch.float64)
    # the radius of Bernoulli's curve, squared
    radius = (pi / 2) ** 2 * t.cos().square() / (1 + t.sin().square())
    torch.testing.assert_close(M.squared_dist(p.expand_as(x), x), radius, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(x[0], x[-1], rtol=0, atol=1e-12)
    M.check_point(artificial_s2_lemniscate(torch.tensor([0.0, 0.0, -1.0]), 9))


def test_matrices_have_their_eigenvalues():
    n, step = 8, 1.5
    image = artificial_spd_image(n, step)
    for i, j in [(0, 0), (1, 6), (5, 2), (7, 7)]:
        level = 3 * (1 - 1 / n) * (i + j + 1) / (2 * n - 1)
        truth = [
            1 + step / 2 * (i + j + 2 > n),
            1 + level - step * (j + 1 > n / 2),
            4 - level + step * (i + 1 > n / 2),
        ]
        found = torch.linalg.eigvalsh(image[i, j])
        torch.testing.assert_close(found, torch.tensor(sorted(truth), dtype=torch.float64))
    for x in (image, artificial_spd_image(33), artificial_spd_image2(33)):
        Power(SymmetricPositiveDefinite(3), *x.shape[:2]).check_point(x)


def test_matrices_run_along_geodesics_with_one_jump():
    M, image = SymmetricPositiveDefinite(3), artificial_spd_image2(9)
    first, last = image[0, 0], image[8, 0]
    torch.testing.assert_close(torch.linalg.eigvalsh(first), torch.tensor([2.0, 4, 8], dtype=torch.float64))
    eigenvalues = torch.tensor([2**0.5, 32**0.5, 8], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.eigvalsh(last), eigenvalues)
    steps = M.dist(image[:-1, 0], image[1:, 0])
    length = M.dist(first, last)
    truth = torch.full((8,), 1 / 16, dtype=torch.float64)
    truth[4] = 1 / 16 + 1 / 2  # the sixth of nine rows is the first beyond 0.66 * 9, counted from one
    torch.testing.assert_close(steps / length, truth)
    torch.testing.assert_close(image[0, 8], 4 * torch.eye(3, dtype=torch.float64))
    # rows are carried along in parallel: equally long
    torch.testing.assert_close(M.dist(image[:, 0], image[:, 8]), M.dist(first, image[0, 8]).expand(9))


@pytest.mark.parametrize(
    "M", [Circle(), Sphere(3), SymmetricPositiveDefinite(2), Product(Sphere(3), Euclidean(2)), Stiefel(4, 2)], ids=repr
)
def test_noise(M):
    N = Power(M, 400)
    x = N.random_point(dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, again = (add_noise(N, x, 0.1, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    N.check_point(y)
    assert float(N.squared_dist(y, again) if N.has_log else (y - again).abs().max()) == 0
    if N.has_log:
        # squared lengths are 0.01 times chi-squared of as many degrees as there are dimensions
        assert float(N.squared_dist(x, y)) / 400 / M.dim == pytest.approx(0.01, rel=0.15)


def test_what_is_refused():
    with pytest.raises(OptionsError, match="points must be an integer of at least 2, got 1"):
        artificial_s1_signal(1)
    with pytest.raises(OptionsError, match="sigma must be at least zero, got -1"):
        add_noise(Circle(), torch.zeros(2), -1)


def test_dtype_is_double_unless_told():
    for make in (artificial_s1_signal, artificial_in_sar_image, artificial_s2_whirl_image, artificial_spd_image2):
        assert make(20).dtype is torch.float64
        assert make(20, dtype=torch.float32).dtype is torch.float32
