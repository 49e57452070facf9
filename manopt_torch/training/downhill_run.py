"""The loop of `minimize` and `build`: epochs of updates, validations, and the best parameters at the end."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError, UnknownKeywordError
from manopt_torch.problems.autodiff import Value, grad_mode
from manopt_torch.training.batches import first_of, source_of
from manopt_torch.training.downhill_algorithms import check_algorithm, composition, keywords_of
from manopt_torch.training.downhill_parameters import Named, Parameters, named_parameters, parameters_of
from manopt_torch.training.downhill_updates import DeferredUpdates, Updates
from manopt_torch.training.monitors import Means, monitors_of
from manopt_torch.training.validation import Patience

# the keywords of `iterate` besides the hyper-parameters
LOOP = {
    "max_updates": None,
    "max_steps": None,
    "patience": 5,
    "validate_every": 10,
    "min_improvement": 0.0,
    "print": None,
}
DATA = {
    "batch_size": 32,
    "train_batches": None,
    "valid_batches": None,
    "axis": 0,
    "shuffle": "batches",
    "seed": 0,
}
Pair = tuple[dict[str, float], dict[str, float]]


class Downhill:
    """An algorithm bound to a loss and its parameters, made by `build`.

    Attributes:
        best_loss: the least validation loss of the last run.
        reason: why the last run has ended.
        epochs: the epochs that it took.
        validations: the losses at its validations, in order.
    """

    def __init__(
        self, algo: Any, loss: Callable[..., Any], params: Any, monitors: Any, monitor_gradients: bool, formulas: str
    ) -> None:
        if not callable(loss):
            raise OptionsError(f"loss must be a function of a batch (or of nothing), got {type(loss).__name__}")
        self.algo, self.formulas, self.loss = check_algorithm(algo, formulas), formulas, loss
        self.monitors, self.monitor_gradients = monitors_of(monitors), bool(monitor_gradients)
        module = params if isinstance(params, torch.nn.Module) else None
        self._parameters = None if params is None else Parameters(named_parameters(params, loss), module)
        self.watch, self._value = Patience(), Value()
        self.epochs, self.reason, self.validations = 0, "not run", []

    # ---- parameters -------------------------------------------------------------------------------------------------
    @property
    def params(self) -> Named:
        """The parameters, pairs of name and tensor; found in the graph of the loss once it has been evaluated."""
        known = self._parameters
        return [] if known is None else list(zip(known.names, known.tensors, strict=True))

    @property
    def best_loss(self) -> float:
        """The least validation loss of the last run."""
        return self.watch.best_loss

    def set_params(self, targets: Any = "best") -> None:
        """Set the parameters to given values, in their order or by name, or to the best of the last run.

        Raises:
            OptionsError: if there is no best, or the names are others.
        """
        parameters, best = self._parameters, self.watch.best
        if parameters is None or (isinstance(targets, str) and (targets != "best" or best is None)):
            raise OptionsError(f"set_params({targets!r}): no validation has been made yet, or the word is not 'best'")
        if isinstance(targets, dict):
            if set(targets) != set(parameters.names):
                raise OptionsError(f"set_params: give {', '.join(parameters.names)}, got {', '.join(targets)}")
            targets = [targets[name] for name in parameters.names]
        if isinstance(targets, str):
            parameters.restore(best)
        else:
            parameters.set(targets)

    # ---- hyper-parameters -------------------------------------------------------------------------------------------
    def _settings(self, given: dict[str, Any], caller: str) -> dict[str, Any]:
        """Fill in the defaults of a call.

        Raises:
            UnknownKeywordError: if a keyword is unknown; it lists those that the algorithm takes.
        """
        known = LOOP | DATA | keywords_of(self.algo, self.formulas)
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UnknownKeywordError(
                f"{caller} got unknown keyword {', '.join(unknown)}; with algo={self.algo!r} it takes "
                f"{', '.join(known)}"
            )
        return known | given

    def _rule(self, settings: dict[str, Any]) -> DirectionRule:
        hyper = {name: settings[name] for name in keywords_of(self.algo, self.formulas)}
        return composition(self.algo, self.formulas, hyper)

    def _updates(self, rule: DirectionRule, first: Callable[[], tuple[Any, ...]]) -> Updates:
        """Bind a rule to the parameters; if they are to be found in the graph of the loss, `first` gives a batch."""
        if self._parameters is None:
            self._parameters = Parameters(parameters_of(self.loss, first()))
        return Updates(self.loss, self._parameters, rule, blocks=self.formulas == "downhill")

    def get_updates(self, **hyper: Any) -> Callable[..., torch.Tensor]:
        """Return a function that takes a batch, moves the parameters by one step, and returns the loss before.

        Args:
            hyper: hyper-parameters as `iterate` takes them. Its keywords about data and epochs (`batch_size`,
                `patience`, ...) are accepted and not used: batches are what the function is called with.

        Raises:
            UnknownKeywordError: if a keyword is unknown.
        """
        rule = self._rule(self._settings(hyper, "get_updates"))
        if self._parameters is not None:
            return self._updates(rule, tuple)
        return DeferredUpdates(lambda batch: self._updates(rule, lambda: batch))

    def evaluate(self, data: Any = None, **keywords: Any) -> dict[str, float]:
        """Return the means of loss and monitors over data where the parameters are, as a validation finds them.

        Args:
            data: the batches, as `iterate` takes them.
            keywords: those of `iterate` about data, used where an array is cut: `batch_size`, `valid_batches`, ...

        Raises:
            OptionsError: if a keyword is unknown, or there is no batch.
        """
        settings = self._settings(keywords, "evaluate")
        how = {name: settings[name] for name in ("batch_size", "axis", "shuffle", "seed")}
        batches = source_of(data, False, settings["valid_batches"], **how)
        return self._means(self._updates(self._rule(settings), lambda: first_of(batches)), batches)

    # ---- the loop ---------------------------------------------------------------------------------------------------
    def iterate(self, train: Any = None, valid: Any = None, **keywords: Any) -> Iterator[Pair]:
        """Yield `(train_monitors, valid_monitors)`, means by name, after each epoch.

        Train monitors are means over the batches of the epoch, each seen just before its update. Validations come
        before epochs 0, `validate_every`, ...; between them the last is repeated. At the end the parameters are
        validated once more, and those of the best validation are restored. A caller who leaves the loop finds the
        parameters as they are then; `set_params("best")` goes back.

        Args:
            train: the batches of an epoch: a list of argument tuples (`[[y]]`, or `[[]]` for a loss of nothing), a
                DataLoader, a `BatchSource`, a function called for each batch, an array to be cut, None for nothing.
            valid: likewise; None is the training data.
            keywords: those of `minimize`: for the loop, the data (used where an array is cut) and the algorithm.

        Raises:
            OptionsError: if a keyword is unknown or out of its range.
        """
        return self._iterate(train, valid, False, self._settings(keywords, "iterate"))

    def minimize(self, train: Any = None, valid: Any = None, **keywords: Any) -> Pair:
        """Run `iterate` to its end, where lists hold arrays to be cut into batches.

        Returns:
            The monitors of the last epoch, and those at the restored parameters.
        """
        pair: Pair = ({}, {})
        for pair in self._iterate(train, valid, True, self._settings(keywords, "minimize")):  # noqa: B007
            continue
        return pair[0], self.watch.best_monitors or pair[1]

    def _iterate(self, train: Any, valid: Any, cut: bool, settings: dict[str, Any]) -> Iterator[Pair]:
        """Prepare a run; what can be wrong is found here, before the first epoch is asked for."""
        _check_loop(settings)
        how = {name: settings[name] for name in ("batch_size", "axis", "shuffle", "seed")}
        training = source_of(train, cut, settings["train_batches"], **how)
        # the training data are validated on with a source of their own, which leaves the order of training alone
        batches = settings["valid_batches"] or (settings["train_batches"] if valid is None else None)
        validating = source_of(train if valid is None else valid, cut, batches, **how)
        updates = self._updates(self._rule(settings), lambda: first_of(validating))
        self.watch: Patience = Patience(settings["patience"], settings["min_improvement"])
        self.watch.best = updates.parameters.snapshot()
        self.epochs, self.reason, self.validations = 0, "running", []
        return self._epochs(updates, training, validating, settings)

    def _epochs(
        self,
        updates: Updates,
        training: Iterable[tuple[Any, ...]],
        validating: Iterable[tuple[Any, ...]],
        settings: dict[str, Any],
    ) -> Iterator[Pair]:
        every, tell = settings["validate_every"], settings["print"] or _silent
        self._announce(tell, settings)
        valid: dict[str, float] = {}
        try:
            while True:
                if self.epochs % every == 0:
                    valid = self._validate(updates, validating, tell)
                    if self.watch.elapsed:
                        self.reason = "patience elapsed"
                        break
                if self.reason != "running" or self._at_limit(updates, settings):
                    break
                train = self._train(updates, training, settings["max_steps"])
                self.epochs += 1
                tell(_line(f"{self.algo} {self.epochs}", train))
                yield train, valid
        except KeyboardInterrupt:
            self.reason = "interrupted"
        # the epochs since the last validation are not lost
        if self.reason != "interrupted" and self.epochs % every:
            self._validate(updates, validating, tell)
        tell(f"downhill {self.reason}!")
        self.set_params("best")

    def _at_limit(self, updates: Updates, settings: dict[str, Any]) -> bool:
        epochs, steps = settings["max_updates"], settings["max_steps"]
        if epochs is not None and self.epochs >= epochs:
            self.reason = f"{epochs} epochs made"
        elif steps is not None and updates.steps >= steps:
            self.reason: str = f"{steps} steps made"
        return self.reason != "running"

    def _train(self, updates: Updates, training: Iterable[tuple[Any, ...]], max_steps: int | None) -> dict[str, float]:
        means = Means()
        for batch in training:
            value = updates.evaluate(batch)
            means.add(self._watched(updates, batch, value))
            updates.move()
            if max_steps is not None and updates.steps >= max_steps:
                break
        return means.read()

    def _validate(
        self, updates: Updates, validating: Iterable[tuple[Any, ...]], tell: Callable[[str], Any]
    ) -> dict[str, float]:
        valid = self._means(updates, validating)
        improved = self.watch.see(valid, updates.parameters.snapshot())
        self.validations.append(valid["loss"])
        tell(_line(f"validation {len(self.validations) - 1}", valid) + (" *" if improved else ""))
        return valid

    def _means(self, updates: Updates, data: Iterable[tuple[Any, ...]]) -> dict[str, float]:
        """Return the means of the monitors over batches, without an update."""
        means = Means()
        with updates.parameters.evaluating():
            for batch in data:
                means.add(self._watched(updates, batch, self._loss_of(updates, batch)))
        found = means.read()
        if not found:
            raise OptionsError("the data are empty: there is no batch to validate on; for a loss of nothing give [[]]")
        return found

    def _loss_of(self, updates: Updates, batch: tuple[Any, ...]) -> torch.Tensor:
        """Return the loss of a validation batch, with the gradient only if it is watched."""
        if self.monitor_gradients:
            return updates.evaluate(batch)
        with grad_mode(False):
            value = self._value(self.loss, *batch)
        updates.problem.check_cost(value, ())
        return value

    def _watched(self, updates: Updates, batch: tuple[Any, ...], loss: torch.Tensor) -> Iterator[tuple[str, Any]]:
        """Yield what the monitors say about a batch, before its update."""
        yield "loss", loss
        with grad_mode(False):
            for name, monitor in self.monitors.items():
                yield name, self._value(monitor, *batch)
        if self.monitor_gradients:
            names = updates.parameters.names
            yield from zip((f"grad({name})" for name in names), updates.squared_norms(), strict=True)

    def _announce(self, tell: Callable[[str], Any], settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            if name not in DATA and name != "print":
                tell(f"downhill {name} = {value!r}")


def _check_loop(settings: dict[str, Any]) -> None:
    for name, least in (("max_updates", 0), ("max_steps", 0), ("validate_every", 1)):
        value = settings[name]
        if (value is None and least) or (value is not None and (not isinstance(value, int) or value < least)):
            raise OptionsError(f"{name} must be an int >= {least}{'' if least else ' or None'}, got {value!r}")
    if settings["print"] is not None and not callable(settings["print"]):
        raise OptionsError(f"print must be a function of a line, such as print, or None, got {settings['print']!r}")


def _line(head: str, monitors: dict[str, float]) -> str:
    return " ".join([f"downhill {head}", *(f"{name}={value:.6g}" for name, value in monitors.items())])


def _silent(line: str) -> None:
    """Print nothing."""
