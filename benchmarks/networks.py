"""Networks trained by Levenberg-Marquardt: the sinc fit of torch-levenberg-marquardt's page, and its digits.

Sinc: $y = \\operatorname{sinc}(10x)$ at 20,000 points, a network of 61 parameters, 20 batches of 1,000 an epoch, double
precision; both packages from the same starts with the same batches. Digits: scikit-learn's 8 x 8 images, 1,500 to train
and 297 to test, a convolutional network of 1,022 parameters, single precision, against Adam with ten times the epochs.
"""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.timing import ROUNDS, Figure, Row, Times, installed, interleaved
from manopt_torch.training import CrossEntropyLoss, LevenbergMarquardtModule, MSELoss

CASE = "networks"
PEER = "torch-levenberg-marquardt"
SEEDS = 5

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def rows(
    *,
    rounds: int = ROUNDS,
    peers: bool = True,
    points: int = 20_000,
    epochs: int = 50,
    digit_epochs: int = 20,
    seeds: int = SEEDS,
) -> list[Row]:
    """Return the rows of this case.

    Args:
        rounds: rounds of timing.
        peers: whether to run torch-levenberg-marquardt.
        points: samples of the sinc fit, in 20 batches.
        epochs: of the sinc fit.
        digit_epochs: of the digits; Adam takes ten times as many. 0 leaves them out.
        seeds: how many starts.
    """
    version = installed(PEER) if peers else ""
    table = [*_timed(points, rounds, version), _fitted(points, epochs, seeds, version)]
    if not installed("scikit-learn"):
        digit_epochs = 0
    return table + (_digits(digit_epochs, seeds) if digit_epochs else [])


# ---- sinc ------------------------------------------------------------------------------------------------------------


def sinc_network(seed: int) -> nn.Module:
    """Return the network of 61 parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1)).double()


def sinc_data(points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets."""
    x = torch.linspace(-1, 1, points, dtype=torch.float64)[:, None]
    return x, torch.sinc(10 * x)


def sinc_epoch(x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> Batches:
    """Return an epoch's twenty batches."""
    return [(x[k], y[k]) for k in torch.randperm(len(x), generator=generator).split(len(x) // 20)]


def peer_module(model: nn.Module, **keywords: Any) -> Any:
    """Return the peer's training module, silent."""
    import torch_levenberg_marquardt as tlm

    logging.getLogger("torch_levenberg_marquardt").setLevel(logging.CRITICAL)
    return tlm.training.LevenbergMarquardtModule(model, tlm.loss.MSELoss(), **keywords)


def _timed(points: int, rounds: int, version: str) -> list[Row]:
    """Time one epoch after the other: each contender goes on from where it was, all in step."""
    x, y = sinc_data(points)
    batches = sinc_epoch(x, y, torch.Generator().manual_seed(0))
    modules: dict[str, Any] = {
        "ours": LevenbergMarquardtModule(sinc_network(0)),
        "split": LevenbergMarquardtModule(sinc_network(0), jacobian_max_num_rows=points // 80),
        "cholesky": LevenbergMarquardtModule(sinc_network(0), solve_method="cholesky"),
    }
    if version:
        modules["peer"] = peer_module(sinc_network(0))
        modules["peer split"] = peer_module(sinc_network(0), max_batch_size=points // 80)

    def epoch(module: Any) -> Callable[[], float]:
        def run() -> float:
            for inputs, targets in batches:
                loss = module.training_step(inputs, targets)[1]
            return float(loss)

        return run

    times = interleaved({name: epoch(module) for name, module in modules.items()}, rounds)
    losses = times.results
    for name in losses:
        if abs(losses[name] / losses["ours"] - 1) > 1e-3:
            raise AssertionError(f"{name} went elsewhere: {losses[name]} after {losses['ours']}")
    return _time_table(times, version)


def _time_table(times: Times, version: str) -> list[Row]:
    def row(name: str, subject: str, against: str = "", peer: str = "", target: Any = None) -> Row:
        ratio = times.ratio(name, against) if against in times.seconds else None
        known = peer if ratio else f"{PEER} is not installed" if against else ""
        note = f"loss of the last batch {times.results[name]:.3g}"
        return Row(
            CASE, subject, times.figure(name, 1e3 / 20), "ms/step", known, ratio, target if ratio else None, note
        )

    theirs = f"{PEER} {version}"
    table = [
        row("ours", "sinc: manopt_torch", "peer", theirs, ("<=", 0.5)),
        row("split", "sinc: manopt_torch, Jacobian in 4 parts", "ours", "in one", ("<=", 1.15)),
        row("cholesky", "sinc: manopt_torch, by Cholesky", "ours", "by QR"),
    ]
    if version:
        table += [
            row("peer", f"sinc: {theirs}"),
            row("peer split", f"sinc: {theirs}, in 4 parts", "peer", "in one"),
        ]
    return table


def _fitted(points: int, epochs: int, seeds: int, version: str) -> Row:
    """Compare where the fits end, on all data, as geometric means over the starts."""
    x, y = sinc_data(points)

    def end(make: Callable[[nn.Module], Any], seed: int) -> float:
        model = sinc_network(seed)
        module, generator = make(model), torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            for inputs, targets in sinc_epoch(x, y, generator):
                module.training_step(inputs, targets)
        with torch.no_grad():
            return float(MSELoss()(model(x), y))

    ours = [end(LevenbergMarquardtModule, seed) for seed in range(seeds)]
    theirs = [end(peer_module, seed) for seed in range(seeds)] if version else []
    ratio = None
    if theirs:
        mean = math.exp(sum(map(math.log, ours)) / seeds - sum(map(math.log, theirs)) / seeds)
        each = [a / b for a, b in zip(ours, theirs, strict=True)]
        ratio = Figure(mean, min(each), max(each))
    note = f"geometric mean {math.exp(sum(map(math.log, ours)) / seeds):.3g} over {seeds} starts"
    peer = f"{PEER} {version}, geometric means" if version else f"{PEER} is not installed"
    target = ("<=", 2.0) if ratio else None
    return Row(CASE, f"sinc: loss after {epochs} epochs", Figure.of(ours), "", peer, ratio, target, note)


# ---- digits ----------------------------------------------------------------------------------------------------------


def digits_network(seed: int) -> nn.Module:
    """Return the network of 1,022 parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ELU(), nn.Conv2d(8, 4, 3), nn.ELU(), nn.Flatten(), nn.Linear(64, 10))


def digits_data() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels in a fixed order drawn by chance: 1,500 to train, then those to test."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images = torch.tensor(found.images / 16.0, dtype=torch.float32)[:, None]
    return images[order], torch.tensor(found.target)[order]


def _digits(epochs: int, seeds: int) -> list[Row]:
    x, t = digits_data()

    def trained(seed: int, epochs: int, step_of: Callable[[nn.Module], Callable[..., bool]]) -> float:
        """Train on epochs of three batches, ten times each, or until the stop flag; return the test accuracy."""
        model, generator = digits_network(seed), torch.Generator().manual_seed(seed)
        step = step_of(model)
        for inputs, targets in _digit_batches(x, t, epochs, generator):
            if step(inputs, targets):
                break
        with torch.no_grad():
            return float((model(x[1500:]).argmax(1) == t[1500:]).double().mean())

    found = {
        "Levenberg-Marquardt": [trained(seed, epochs, _lm_step) for seed in range(seeds)],
        "Adam": [trained(seed, 10 * epochs, _adam_step) for seed in range(seeds)],
    }
    means = {name: sum(each) / seeds for name, each in found.items()}
    gap = Figure(*[100 * (means["Adam"] - means["Levenberg-Marquardt"])] * 3)
    note = ", ".join(f"{name} {mean:.4f}" for name, mean in means.items()) + f" on average over {seeds} starts"
    return [
        Row(
            CASE,
            f"digits: test accuracy after {epochs} epochs",
            Figure.of(found["Levenberg-Marquardt"]),
            "",
            f"percentage points below Adam, {10 * epochs} epochs",
            gap,
            ("<=", 0.5),
            note,
        ),
        Row(CASE, f"digits: test accuracy of Adam after {10 * epochs} epochs", Figure.of(found["Adam"]), ""),
    ]


def _digit_batches(x: torch.Tensor, t: torch.Tensor, epochs: int, generator: torch.Generator) -> Iterator[Any]:
    for _ in range(10 * epochs):
        for k in torch.randperm(1500, generator=generator).split(500):
            yield x[k], t[k]


def _lm_step(model: nn.Module) -> Callable[..., bool]:
    module = LevenbergMarquardtModule(model, CrossEntropyLoss(), learning_rate=0.05, solve_method="cholesky")
    return lambda inputs, targets: module.training_step(inputs, targets).stop


def _adam_step(model: nn.Module) -> Callable[..., bool]:
    adam = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> bool:
        adam.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        adam.step()
        return False

    return step
