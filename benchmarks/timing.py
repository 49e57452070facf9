"""How everything here is timed: interleaved rounds, each contender in a process of its own, in process CPU time.

Round after round each contender runs once, so that the drift of a busy machine hits all alike, and a ratio is taken
within a round. Reported are the median over the rounds, and the least and the largest.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, NamedTuple

from benchmarks.apart import Contender, ContenderApart

# fewer rounds than this say nothing about the spread
ROUNDS = 9


class Figure(NamedTuple):
    """A median with the least and the largest value it was taken from."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Figure":
        return cls(median(values), min(values), max(values))


class Row(NamedTuple):
    """One line of the table.

    Args:
        case: the benchmark.
        subject: what was measured.
        figure: its figure, in `unit`.
        unit: such as `us/step`.
        peer: what `ratio` compares with.
        ratio: the figure that the target speaks of.
        target: a pair such as `("<=", 1.25)`, or None where nothing is promised.
        note: facts that a reader needs to believe the row, such as the number of iterations.
    """

    case: str
    subject: str
    figure: Figure
    unit: str
    peer: str = ""
    ratio: Figure | None = None
    target: tuple[str, float] | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median ratio meets the target; None without one."""
        if self.target is None or self.ratio is None:
            return None
        sign, bound = self.target
        return self.ratio.median <= bound if sign == "<=" else self.ratio.median >= bound

    def as_dict(self) -> dict[str, Any]:
        """Return the row as JSON takes it, figures by name."""
        fields = self._asdict().items()
        named = {name: value._asdict() if isinstance(value, Figure) else value for name, value in fields}
        return {**named, "met": self.met}


class Times:
    """CPU seconds of each contender, one entry a round, and what each returned last."""

    def __init__(self, seconds: dict[str, list[float]], results: dict[str, Any]) -> None:
        self.seconds, self.results = seconds, results

    def figure(self, name: str, scale: float = 1.0) -> Figure:
        """Return the figure of a contender, in seconds times `scale`."""
        return Figure.of([scale * s for s in self.seconds[name]])

    def ratio(self, above: str, below: str, scale: float = 1.0) -> Figure:
        """Return the figure of one contender's time over another's, taken round by round."""
        pairs = zip(self.seconds[above], self.seconds[below], strict=True)
        return Figure.of([scale * a / b for a, b in pairs])


def interleaved(
    contenders: Mapping[str, Callable[[], Any]],
    rounds: int = ROUNDS,
    calls: int = 1,
    *,
    lasting: float = 0.0,
    apart: bool | None = None,
) -> Times:
    """Time each contender once a round, in turning order, after one round that is not counted.

    Args:
        contenders: what to call, by name.
        rounds: rounds that count.
        calls: calls in one sample, where one alone is too short to be timed.
        lasting: how long a sample is at least, in CPU seconds: it is repeated until then.
        apart: whether each runs in a process of its own; None does what `Setting.apart` says.
    """
    make = ContenderApart if (Setting.apart if apart is None else apart) else Contender
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    running = {name: make(run, calls, lasting) for name, run in contenders.items()}
    for contender in running.values():
        contender.warm_up()
    order = list(contenders)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(running[name].turn())
        order = order[1:] + order[:1]  # nobody always runs after the same one
    return Times(seconds, {name: contender.end() for name, contender in running.items()})


class Setting:
    """What holds for all cases of a process; `benchmarks.one` sets it."""

    apart = False


def installed(package: str) -> str:
    """Return the version of a package, or an empty string where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
