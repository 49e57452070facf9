"""Pictures of data: what is drawn where, and files of both kinds."""

import builtins
import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from manopt_torch import (
    OptionsError,
    ShapeError,
    Sphere,
    artificial_s1_signal,
    artificial_s2_whirl_patch,
    plot_circle_signal,
    plot_direction_image,
    plot_phase_image,
    plot_spd_image,
    plot_sphere,
)
from manopt_torch.plotting.spd import _ellipsoids

E = torch.eye(3, dtype=torch.float64)
PICTURES = {
    plot_circle_signal: artificial_s1_signal(20),
    plot_phase_image: torch.zeros(3, 4),
    plot_sphere: E,
    plot_direction_image: artificial_s2_whirl_patch(4),
    plot_spd_image: E.expand(2, 2, 3, 3),
}


@pytest.mark.parametrize(("plot", "x"), PICTURES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_figures_can_be_saved_as_png_and_svg(plot, x, tmp_path):
    figure = plot(x)
    assert isinstance(figure, Figure)
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        figure.savefig(tmp_path / name, dpi=30)
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(("plot", "x"), PICTURES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_panels_of_ones_own(plot, x):
    figure = Figure()
    given = {"projection": "3d"} if plot is plot_sphere else {}
    axes = [figure.add_subplot(1, 2, n, **given) for n in (1, 2)]
    assert plot(x, axes=axes[1]) is figure
    assert len(figure.axes) == 2 and axes[1].has_data() and not axes[0].has_data()


def test_signals_are_dots_with_names():
    f = artificial_s1_signal(20)
    axes = plot_circle_signal(f, -f, labels=["f", "g"]).axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), -f.numpy())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["f", "g"]
    assert axes.lines[0].get_linestyle() == "None"


def test_phases_have_the_colours_of_a_circle():
    image = plot_phase_image(torch.tensor([[-math.pi, math.pi]])).axes[0].images[0]
    first, last = image.cmap(image.norm(image.get_array()))[0]
    np.testing.assert_allclose(first, last, atol=0.1)


def test_curves_and_vectors_on_the_sphere():
    M = Sphere(3)
    curve = M.geodesic(E[0].expand(5, 3), E[1].expand(5, 3), torch.linspace(0, 1, 5).double())
    figure = plot_sphere({"ends": E[:2]}, curves={"line": curve}, vectors=[(E[:2], E[1:])])
    axes = figure.axes[0]
    xyz = [line.get_data_3d() for line in axes.lines if line.get_label() == "line"]
    np.testing.assert_allclose(np.stack(xyz[0], -1), curve.numpy())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ends", "line"]


def test_ellipses_have_their_half_axes():
    x = torch.diag(torch.tensor([4.0, 1.0])).expand(1, 2, 2, 2)
    (collection,) = plot_spd_image(x).axes[0].collections
    for column, path in enumerate(collection.get_paths()):
        low, high = path.vertices.min(0), path.vertices.max(0)
        np.testing.assert_allclose((high - low) / 2, (0.48, 0.24), rtol=1e-12)
        np.testing.assert_allclose((high + low) / 2, (column, 0), atol=1e-12)


def test_ellipsoids_are_seen_as_their_shadows():
    matrix = np.array([[[[4.0, 1.0, 0.3], [1.0, 2.0, -0.4], [0.3, -0.4, 1.0]]]])
    n, scale = 200, 0.48 / 2
    seen = _ellipsoids(matrix, scale, n)[..., 3]
    # the shadow is the ellipse of the upper left block: as large, and inclined up to the right
    area = math.pi * math.sqrt(np.linalg.det(matrix[0, 0, :2, :2])) * scale**2
    assert seen.mean() == pytest.approx(area, rel=0.01)
    assert seen[: n // 2, n // 2 :].sum() > 1.2 * seen[: n // 2, : n // 2].sum()


def test_the_longest_axis_gives_the_colour():
    x = np.stack([np.diag(np.where(np.arange(3) == j, 9.0, 1.0)) for j in range(3)])[None]
    picture = _ellipsoids(x, 0.48 / 3, 9)
    for j in range(3):
        assert picture[4, 9 * j + 4, :3].argmax() == j


def test_what_is_refused():
    with pytest.raises(ShapeError, match=r"expected shape \(n\), got \(2, 3\): draw one problem"):
        plot_circle_signal(torch.zeros(2, 3))
    with pytest.raises(OptionsError, match="1 signals and 2 labels"):
        plot_circle_signal(torch.zeros(3), labels=["a", "b"])
    with pytest.raises(ShapeError, match=r"expected shape \(n, m, 3\)"):
        plot_direction_image(torch.zeros(4, 4))
    with pytest.raises(ShapeError, match="two or three rows"):
        plot_spd_image(torch.eye(4))


def test_matplotlib_is_asked_for_by_name(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"plot_phase_image needs matplotlib: pip install manopt_torch\[plot\]"):
        plot_phase_image(torch.zeros(2, 2))
