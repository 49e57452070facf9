"""A tour of the package on real measurements: `python -m manopt_torch`.

Three stations, each made from Fisher's iris table (`manopt_torch.datasets`): the Riemannian centre of 1,000 directions,
the leading axes of 10,000 covariance matrices at once, and geometric means of covariance matrices. Each result is
checked against linear algebra that knows nothing of this package; a check that fails makes the exit status 1.
"""

import argparse
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from manopt_torch import (
    ArmijoLinesearch,
    ConstantStepsize,
    GradientDescentOptions,
    GradientProblem,
    Sphere,
    StopAfterIteration,
    StopWhenGradientNormLess,
    SymmetricPositiveDefinite,
    mean,
    plot_record,
    record_to_dict,
    report,
    solve,
)
from manopt_torch.datasets import Table, covariance_blocks, load_iris

DIRECTIONS, AXES, RESAMPLED = 1000, 10_000, 100
SAMPLE = 30  # flowers in a bootstrap sample: enough for a well-conditioned covariance matrix of four columns
MILLIMETRE = 0.1  # the table is in centimetres, read to a millimetre
COLOURS = ("tab:blue", "tab:orange", "tab:green")


class Setting(NamedTuple):
    """What the command line asks for."""

    dtype: torch.dtype
    device: torch.device
    quiet: bool
    save: Path | None

    @property
    def eps(self) -> float:
        """The relative rounding error of the dtype."""
        return torch.finfo(self.dtype).eps

    def say(self, *text: object) -> None:
        """Print unless the tour is quiet."""
        if not self.quiet:
            print(*text)


class Check(NamedTuple):
    """An error and the bound that it has to keep; NaN keeps none."""

    what: str
    error: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the bound is kept."""
        return self.error <= self.bound

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"check {verdict}: {self.what}: {self.error:.1e} (allowed {self.bound:.1e})"


class Centre(NamedTuple):
    """The first station, as the picture needs it."""

    options: Any
    directions: torch.Tensor
    labels: torch.Tensor


def main(arguments: list[str] | None = None) -> int:
    """Run the tour; return 0 if all checks pass, else 1."""
    setting = _setting(arguments)
    began = time.perf_counter()
    iris = load_iris(dtype=setting.dtype, device=setting.device)
    generator = torch.Generator().manual_seed(1936)  # on the CPU, so that every device sees the same numbers
    setting.say(f"{len(iris.values)} flowers, {len(iris.columns)} lengths each, on {setting.device}, {setting.dtype}")
    centre, checks = find_centre(iris, generator, setting)
    checks += find_axes(iris, generator, setting)
    means, more = find_means(iris, generator, setting)
    checks += more
    if setting.save is not None:
        for path in _save(setting.save, iris, centre, means):
            setting.say(f"saved {path}")
    else:
        setting.say("\nno picture was saved; --save DIR draws the centre and the means into DIR")
    failed = [check for check in checks if not check.passed]
    for check in failed if setting.quiet else ():
        print(check, file=sys.stderr)
    print(f"{len(checks) - len(failed)} of {len(checks)} checks passed in {time.perf_counter() - began:.1f} s")
    return 1 if failed else 0


# ---- the stations ---------------------------------------------------------------------------------------------------


def find_centre(iris: Table, generator: torch.Generator, setting: Setting) -> tuple[Centre, list[Check]]:
    """Find the point of the sphere with the least mean squared distance to many directions."""
    setting.say(f"\n1. The centre of {DIRECTIONS} directions: the shapes of flowers, whatever their size")
    M = Sphere(3)
    rows = torch.randint(len(iris.values), (DIRECTIONS,), generator=generator).to(setting.device)
    # within the millimetre that the ruler left open
    blur = MILLIMETRE * (torch.rand(DIRECTIONS, 3, generator=generator).to(iris.values) - 0.5)
    directions = M.project_point(iris.values[rows, :3] + blur)

    def cost(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * M.squared_dist(x.unsqueeze(-2), directions).mean(-1)

    tolerance = setting.eps**0.75
    options = GradientDescentOptions(
        torch.eye(3, dtype=setting.dtype, device=setting.device)[2],  # all petal, no sepal
        stepsize=ConstantStepsize(0.3),  # 1 would do it in a few steps, with nothing to watch
        stop=StopAfterIteration(200) | StopWhenGradientNormLess(tolerance),
    )
    trace = [":Iteration", "  ", (":Cost", "cost {:.10f}"), "  ", (":GradientNorm", "gradient norm {:.1e}"), "\n", 10]
    solve(
        GradientProblem(M, cost),
        options,
        debug=None if setting.quiet else [*trace, ":Stop"],
        record=[":Iteration", ":Cost", ":GradientNorm", ":Iterate"],
    )
    setting.say(_indented(report(options)))
    cosine = directions @ options.x
    angle = torch.arccos(cosine.clamp(-1, 1))
    pull = ((angle / angle.sin())[:, None] * (directions - cosine[:, None] * options.x)).mean(0)
    checks = [Check("the pulls of all directions cancel", float(pull.norm()), 10 * tolerance)]
    return Centre(options, directions, iris.labels[rows]), _told(checks, setting)


def find_axes(iris: Table, generator: torch.Generator, setting: Setting) -> list[Check]:
    """Find the leading axes of many covariance matrices at once: each maximises x'Ax over the sphere."""
    setting.say(f"\n2. The leading axes of {AXES:,} covariance matrices, each from {SAMPLE} flowers of one species")
    M = Sphere(4)
    blocks = covariance_blocks(iris.values, iris.labels, AXES, SAMPLE, generator)
    a = blocks / blocks.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]  # shares of the total variance

    def cost(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return -(x * (a @ x.unsqueeze(-1)).squeeze(-1)).sum(-1)

    start = M.random_point(AXES, generator=generator, dtype=setting.dtype).to(setting.device)
    options = GradientDescentOptions(
        start,
        stepsize=ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3),
        # the error of the cost is the square of this: below it lies rounding
        stop=StopAfterIteration(1000) | StopWhenGradientNormLess(setting.eps**0.4),
    )
    trace = [":Iteration", "  ", (":Cost", "{:.6f}"), "\n", 10]
    solve(GradientProblem(M, cost, data=(a,)), options, debug=None if setting.quiet else trace)
    summary = report(options)
    setting.say(_indented(summary))
    values, vectors = torch.linalg.eigh(a)
    bound = 100 * setting.eps**0.8
    slant = 1 - (options.x * vectors[..., -1]).sum(-1).abs()
    checks = [
        Check("problems that did not converge", float(AXES - summary.converged), 0.0),
        Check("largest error of a variance, by eigh", float((options.cost + values[:, -1]).abs().max()), bound),
        Check("largest 1 - |cos| of the angle to an axis, by eigh", float(slant.max()), bound),
    ]
    return _told(checks, setting)


def find_means(iris: Table, generator: torch.Generator, setting: Setting) -> tuple[tuple[Any, Any], list[Check]]:
    """Find the geometric mean of covariance matrices, for each species; return the matrices and the means."""
    setting.say(f"\n3. The geometric means of {RESAMPLED} covariance matrices of each species")
    M = SymmetricPositiveDefinite(len(iris.columns))
    blocks = covariance_blocks(iris.values, iris.labels, RESAMPLED * len(iris.names), SAMPLE, generator)
    covariances = blocks.unflatten(0, (RESAMPLED, len(iris.names))).transpose(0, 1)
    centres = mean(M, covariances)
    pull = M.log(centres.unsqueeze(1), covariances).mean(1)
    residual = M.norm(centres, pull)
    volume, swollen = torch.logdet(centres), torch.logdet(covariances.mean(1))
    for n, name in enumerate(iris.names):
        setting.say(
            f"   {name:<10} residual {float(residual[n]):.1e}, log det {float(volume[n]):.6f} "
            f"(of the arithmetic mean {float(swollen[n]):.6f}, too large)"
        )
    off = (volume - torch.logdet(covariances).mean(1)).abs()
    bound = setting.eps**0.6
    checks = [
        Check("largest residual, the mean of the logarithms", float(residual.max()), bound),
        Check("log det of a mean is the mean of the log dets", float(off.max()), bound),
    ]
    return (covariances, centres), _told(checks, setting)


def _told(checks: list[Check], setting: Setting) -> list[Check]:
    for check in checks:
        setting.say(f"   {check}")
    return checks


def _indented(text: object) -> str:
    return "\n".join(f"   {line}" for line in str(text).splitlines())


# ---- the pictures ---------------------------------------------------------------------------------------------------


def _save(folder: Path, iris: Table, centre: Centre, means: tuple[Any, Any]) -> list[Path]:
    """Draw the convergence of the first station, and what the first and the third have found."""
    traces = plot_record(centre.options)
    picture = type(traces)(figsize=(12, 5.5), layout="constrained")
    _draw_sphere(picture.add_subplot(1, 2, 1, projection="3d"), iris, centre)
    _draw_ellipses(picture.add_subplot(1, 2, 2), iris, means)
    paths = [folder / "convergence.png", folder / "tour.png"]
    for figure, path in zip((traces, picture), paths, strict=True):
        figure.savefig(path, dpi=150)
    return paths


def _draw_sphere(axes: Any, iris: Table, centre: Centre) -> None:
    """Draw the directions, and the way of the iterates to their centre."""
    u, v = torch.meshgrid(torch.linspace(0, torch.pi / 2, 19), torch.linspace(0, torch.pi / 2, 19), indexing="ij")
    grid = torch.stack([u.cos() * v.sin(), u.sin() * v.sin(), v.cos()]).numpy()
    axes.plot_wireframe(*grid, color="0.85", linewidth=0.5)
    for label, name in enumerate(iris.names):
        own = centre.directions[centre.labels == label].cpu().numpy()
        axes.scatter(*own.T, s=2, color=COLOURS[label], label=name, depthshade=False)
    path = torch.stack([centre.options.x0, *record_to_dict(centre.options)[":Iterate"]]).cpu().numpy()
    axes.plot(*path.T, "k.-", linewidth=1, markersize=4)
    axes.scatter(*path[-1:].T, marker="*", s=160, color="crimson", label="centre", zorder=9)
    axes.set(xlabel=_name(iris, 0), ylabel=_name(iris, 1), zlabel=_name(iris, 2))
    axes.set_box_aspect((1, 1, 1), zoom=1.1)
    axes.view_init(elev=25, azim=30)
    axes.set_title(f"{DIRECTIONS} directions and their Riemannian centre")
    axes.legend(loc="upper left")


def _draw_ellipses(axes: Any, iris: Table, means: tuple[Any, Any]) -> None:
    """Draw the flowers, ellipses of the covariance matrices, and those of the means, in two of the columns."""
    across, up = 2, 0
    pair = torch.tensor([across, up])
    angle = torch.linspace(0, 2 * torch.pi, 121, dtype=torch.float64)
    circle = 2 * torch.stack([angle.cos(), angle.sin()])  # two standard deviations
    for label, name in enumerate(iris.names):
        flowers = iris.values[iris.labels == label].cpu().double()[:, pair]
        samples, middle = (matrices[label].cpu().double()[..., pair, :][..., pair] for matrices in means)
        outlines = flowers.mean(0)[:, None] + torch.linalg.cholesky(torch.cat([samples, middle[None]])) @ circle
        for outline in outlines[:-1].numpy():
            axes.plot(*outline, color=COLOURS[label], linewidth=0.4, alpha=0.25)
        axes.plot(*outlines[-1].numpy(), color="black", linewidth=2)
        axes.scatter(*flowers.numpy().T, s=8, color=COLOURS[label], label=name)
    axes.set(xlabel=f"{_name(iris, across)} in cm", ylabel=f"{_name(iris, up)} in cm", aspect="equal")
    axes.set_title(f"{RESAMPLED} covariance ellipses a species, and their geometric mean (black)")
    axes.legend(loc="upper left")


def _name(iris: Table, column: int) -> str:
    return iris.columns[column].replace("_", " ")


# ---- the command line -----------------------------------------------------------------------------------------------


def _setting(arguments: list[str] | None) -> Setting:
    parser = argparse.ArgumentParser(prog="python -m manopt_torch", description="A tour on real measurements.")
    parser.add_argument("--device", default="cpu", help="where to run, such as cpu or cuda (default: cpu)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="default: float64")
    parser.add_argument("--save", type=Path, metavar="DIR", help="draw pictures into DIR; needs matplotlib")
    parser.add_argument("--quiet", action="store_true", help="print the last line only")
    given = parser.parse_args(arguments)
    dtype = getattr(torch, given.dtype)
    try:
        device = torch.device(given.device)
        torch.zeros(1, dtype=dtype, device=device).tolist()  # read back, because the meta device holds no values
    except (RuntimeError, AssertionError, TypeError):  # unknown; torch built without it; no float64 there
        here = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps with float32"] * torch.backends.mps.is_available()
        parser.error(f"--device {given.device} with {given.dtype} does not work here; there is {', '.join(here)}")
    if given.save is not None:
        if find_spec("matplotlib") is None:
            parser.error('--save needs matplotlib: pip install "manopt_torch[plot]"')
        try:
            given.save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--save {given.save}: {error.strerror}; name a folder that can be written to")
    return Setting(dtype, device, given.quiet, given.save)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # who reads, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
