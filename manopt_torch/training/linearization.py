r"""The linear system of a step on a batch of samples: which rows of the Jacobian, how many at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.problems.autodiff import Value
from manopt_torch.training.batch_tree import call, leaves, mapped, rebuilt, samples
from manopt_torch.training.jacobian import Network, Rows, batch_jacobian
from manopt_torch.training.losses import Loss
from manopt_torch.training.normal_equations import NormalSystem, Scaling, Split, normal_system
from manopt_torch.training.recording import Recordings
from manopt_torch.training.refusals import refuse_layers
from manopt_torch.training.selection import Columns

# every so many steps the model is asked, on so many samples, whether it still does what was recorded
_PERIOD, _PROBES = 16, 4
# so many shapes of batches are remembered
_KINDS = 64


class Linearized(NamedTuple):
    """A network near its present parameters, on a batch."""

    system: NormalSystem
    parameters: list[torch.Tensor]  # those with columns
    outputs: Any
    outputs_at: Callable[[Sequence[torch.Tensor]], Any]  # of other parameters


class _Template(NamedTuple):
    """What batches of one shape have in common."""

    each: int  # residuals of one sample
    outputs: Any  # like the outputs, without the values


class Linearization:
    """Make the linear systems of a network's steps; what was recorded for one serves the next.

    Args:
        model: the network.
        loss: its loss.
        params: the parameters to train, by name.
        max_rows: how many rows of the Jacobian to take at a time; None is all.
        vectorized: whether samples are differentiated one by one.
        dtype: of the system; None is that of the residuals, but at least float32.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: Loss,
        params: Mapping[str, torch.Tensor],
        *,
        max_rows: int | None,
        vectorized: bool,
        dtype: torch.dtype | None,
    ) -> None:
        self.model, self.loss, self.names = model, loss, list(params)
        self.max_rows, self.vectorized, self.dtype = max_rows, vectorized, dtype
        self._value = Value()
        self._recordings = Recordings()
        self._templates: dict[Any, _Template] = {}
        self._settings: Any = None
        self._steps = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave recordings behind in copies and files: they are made of what cannot be saved."""
        return {**self.__dict__, "_recordings": Recordings(), "_templates": {}, "_settings": None}

    def at(self, columns: Columns, inputs: Any, targets: Any, scaling: Scaling, now: Any) -> Linearized:
        """Linearise at the present parameters; `now` are the `settings` of model and loss.

        Raises:
            ShapeError: if samples of inputs, targets, outputs and residuals do not match.
            OptionsError: if the outputs of single samples are not those of the batch.
        """
        size = samples(inputs, targets)
        if now != self._settings:
            refuse_layers(self.model, self.vectorized)
            self._settings = now
        network = Network(self.model, self.loss, self.names, self._recordings, columns, inputs, targets, now)
        if not self.vectorized:
            return self._whole(network, size, scaling)
        key = (now, *(t.shape for t in (*leaves(inputs), *leaves(targets))))
        self._steps += 1
        if key in self._templates:
            found = self._single(network, size, self._templates[key], scaling)
            if self._steps % _PERIOD or self._is_still(inputs, targets, *found):
                return found[0]
            self.forget()
            network = Network(self.model, self.loss, self.names, self._recordings, columns, inputs, targets, now)
        outputs = self._outputs(inputs)
        template = self._template(size, outputs, targets)
        found, _ = self._single(network, size, template, scaling)
        if not _agree(leaves(found.outputs), leaves(outputs)):
            raise OptionsError(
                "the model's outputs for a batch are not those for its samples one by one, so samples are mixed: "
                "vectorize_jacobian=False takes the Jacobian of the batch as a whole"
            )
        if len(self._templates) == _KINDS:
            self._templates.clear()
        self._templates[key] = template
        return found

    def forget(self) -> None:
        """Throw away what was recorded."""
        self._recordings.clear()
        self._templates.clear()

    def _single(
        self, network: Network, size: int, template: _Template, scaling: Scaling
    ) -> tuple[Linearized, torch.Tensor]:
        """Linearise sample by sample; return the first residuals, too."""
        outputs: dict[int, Sequence[torch.Tensor]] = {}
        first: list[torch.Tensor] = []

        def rows(start: int, stop: int) -> Rows:
            found = network.rows(start, stop)
            outputs[start], r = found.outputs, found.residuals
            if start == 0:
                first[:] = [r]
            dtype = self._wide(r)
            return found if r.dtype is dtype else Rows(found.jacobian.to(dtype), r.to(dtype))

        system = normal_system(rows, self._split(size, template.each), network.columns.width, scaling)
        joined = _joined([outputs[start] for start in sorted(outputs)])

        def outputs_at(parameters: Sequence[torch.Tensor]) -> Any:
            return rebuilt(template.outputs, iter(network.outputs(parameters)))

        return Linearized(system, network.free, rebuilt(template.outputs, iter(joined)), outputs_at), first[0]

    def _whole(self, network: Network, size: int, scaling: Scaling) -> Linearized:
        """Linearise a batch whose samples may be mixed."""
        model, inputs, targets, columns = self.model, network.inputs, network.targets, network.columns
        outputs = self._outputs(inputs)
        template = self._template(size, outputs, targets)
        r = self.loss.residuals(outputs, targets).reshape(-1)
        names = [self.names[k] for k in columns.tensors]

        def rows(start: int, stop: int) -> Rows:
            part = slice(start * template.each, stop * template.each)
            found = batch_jacobian(model, lambda out: self.loss.residuals(out, targets), names, inputs, part)
            found = found if columns.chosen is None else found.index_select(1, columns.chosen)
            return Rows(found.to(self._wide(r)), r[part].to(self._wide(r)))

        def outputs_at(parameters: Sequence[torch.Tensor]) -> Any:
            return rebuilt(outputs, map(torch.Tensor.detach, self._value(network.outputs_by_model, parameters)))

        system = normal_system(rows, self._split(size, template.each), columns.width, scaling)
        return Linearized(system, network.free, outputs, outputs_at)

    def _outputs(self, inputs: Any) -> Any:
        """Call the model, whose outputs may be derivatives by its inputs."""
        return mapped(torch.Tensor.detach, self._value(call, self.model, inputs))

    def _template(self, size: int, outputs: Any, targets: Any) -> _Template:
        residuals = self.loss.residuals(outputs, targets)
        if not isinstance(residuals, torch.Tensor):
            raise ShapeError(f"the loss must return its residuals as a tensor, got {type(residuals).__name__}")
        number = residuals.numel()
        if number == 0 or number % size:
            raise ShapeError(f"the loss has {number} residuals for {size} samples: each needs the same number")
        if any(t.dim() == 0 or len(t) != size for t in leaves(outputs)):
            raise ShapeError(
                f"the model's outputs need the {size} samples on their first axis, got "
                f"{[tuple(t.shape) for t in leaves(outputs)]}"
            )
        return _Template(number // size, mapped(lambda t: t.new_empty(0), outputs))

    def _split(self, size: int, each: int) -> Split:
        """Say how many samples to take at a time: whole ones, at least one."""
        return Split(size, each, size if self.max_rows is None else min(size, max(1, self.max_rows // each)))

    def _wide(self, r: torch.Tensor) -> torch.dtype:
        return self.dtype or torch.promote_types(r.dtype, torch.float32)

    def _is_still(self, inputs: Any, targets: Any, found: Linearized, residuals: torch.Tensor) -> bool:
        """Tell whether model and loss do on a few samples what was recorded of them."""
        outputs = self._outputs(mapped(_few, inputs))
        r = self.loss.residuals(outputs, mapped(_few, targets)).reshape(-1)
        same = _agree([_few(t) for t in leaves(found.outputs)], leaves(outputs))
        return same and (len(residuals) < len(r) or _agree([residuals[: len(r)]], [r]))


def _few(t: torch.Tensor) -> torch.Tensor:
    return t[:_PROBES]


def _joined(parts: list[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    return list(parts[0]) if len(parts) == 1 else [torch.cat(leaf) for leaf in zip(*parts, strict=True)]


def _agree(single: Sequence[torch.Tensor], batch: Sequence[torch.Tensor]) -> bool:
    """Tell whether what samples give one by one is what their batch gives, to a quarter of the digits."""
    for a, b in zip(single, batch, strict=True):
        if a.shape != b.shape:
            return False
        if b.is_floating_point():
            digits = torch.finfo(b.dtype).eps ** 0.25
            if bool((a - b).abs().amax() > (b.abs().amax() + digits) * digits):
                return False
    return True
