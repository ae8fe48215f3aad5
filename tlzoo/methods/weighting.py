"""Weightings combine several task losses, or their gradients, into one update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from torch import Tensor

from tlzoo.methods.base import Method
from tlzoo.methods.checks import as_tensor, check_output
from tlzoo.types import Sees

__all__ = ["Weighting"]


class Weighting(Method):
    """Weights of task losses or gradients.

    The update of shared parameters is J^T w with the task gradients J (T, P); ``order`` says what w depends on. A
    method implements :meth:`weigh` or, if its direction is not a weighting of tasks, :meth:`combine`.

    Args:
        num_tasks: T.

    Attributes:
        order: ``"losses"``: w depends on the losses, and heads are trained by the weighted sum like everything else.
            ``"gramian"``: from G = J J^T. ``"jacobian"``: a :meth:`direction` is made from J itself.
        present: (T,) booleans, False where a task has no label in the batch; None if all have one. Such a
            task has a loss of 0 and no row. Set by :meth:`among`.
        heads: what parameters of single tasks follow where gradients are weighed: each task's ``"own"`` loss, or
            ``"weighted"``, that loss times the task's weight.
        features: the shared results (B, ...) that the columns of a Jacobian belong to, one column an entry; empty where
            they belong to parameters. Set by :meth:`direction`.
        losses: the detached losses (T,) of the rows of a Jacobian; None where they were not given. Set by
            :meth:`direction`.
        samples: the number of independent batches per step: the Jacobians of all but the last are given to
            :meth:`observe`.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    implements: ClassVar[str] = "weigh(losses, gramian), own_loss(losses, gramian) or combine(jacobian)"
    order: ClassVar[Literal["losses", "gramian", "jacobian"]] = "losses"
    present: Tensor | None = None
    heads: Literal["own", "weighted"] = "own"
    features: tuple[Tensor, ...] = ()
    losses: Tensor | None = None
    samples: ClassVar[int] = 1

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        if num_tasks < 1:
            raise ValueError(f"{num_tasks} tasks; expected at least one")
        self.num_tasks = num_tasks

    @final  # type: ignore[misc]  # torch declares forward a variable, which mypy never takes as final
    def forward(self, losses: Any, gramian: Any = None) -> Tensor:
        """Return the scalar to backpropagate, for your own loop.

        It is the sum of weights times losses (T,), whose gradient trains the network, plus the objective, whose
        gradient trains the weighting.

        Raises:
            ValueError: the numbers of losses and tasks differ.
            FloatingPointError: NaN or Inf; the task is named. Looked at on the CPU only.
        """
        losses = as_tensor(losses, what="losses")
        constants = losses.detach()
        total = (self.weights(constants, gramian) * self.transformed(losses)).sum() + self.objective(constants, gramian)
        return self._checked(total, "the total", losses)

    if TYPE_CHECKING:
        __call__ = forward

    @final
    def weights(self, losses: Any, gramian: Any = None) -> Tensor:
        """Return (T,) detached weights from losses (T,) and, if ``order`` needs it, the Gramian (T, T).

        Raises:
            ValueError: the shapes do not fit ``num_tasks``.
            FloatingPointError: NaN or Inf; the task is named. Looked at on the CPU only.
        """
        losses = as_tensor(losses, what="losses")
        gramian = None if gramian is None else as_tensor(gramian, what="gramian")
        if gramian is None and self.order == "gramian":
            raise ValueError(
                f"{type(self).__name__} needs the Gramian ({self.num_tasks}, {self.num_tasks}) of the task "
                "gradients; got none: see tlzoo.nn.gradients"
            )
        self._check_tasks(losses, gramian)
        return self._checked(self.weigh(losses, gramian), "the weights", losses)

    @final
    def objective(self, losses: Tensor, gramian: Tensor | None = None) -> Tensor:
        """Return the scalar that trains the weighting's own parameters; the errors are those of :meth:`weights`."""
        self._check_tasks(losses, gramian)
        return self._checked(self.own_loss(losses, gramian), "the objective", losses)

    @final
    def direction(self, jacobian: Any, *, features: Sequence[Tensor] = (), losses: Any = None) -> Tensor:
        """Map J (T, P) to a direction (P,), for those that are no weighting of tasks.

        Args:
            jacobian: gradients of the tasks, one per row.
            features: where they are gradients for shared results rather than parameters, those results (B, ...), whose
                entries are the columns in order.
            losses: (T,), for methods that look at them; a tensor or an array.

        Raises:
            ValueError: the numbers of rows and tasks differ.
            FloatingPointError: NaN or Inf; the task is named. Looked at on the CPU only.
        """
        jacobian = as_tensor(jacobian, what="jacobian")
        self._check_shape(jacobian, (self.num_tasks, *jacobian.shape[1:2]), "jacobian")
        if features and sum(part.numel() for part in features) != jacobian.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: features of shapes {', '.join(str(tuple(part.shape)) for part in features)} "
                f"for {jacobian.shape[1]} columns; expected one column an entry"
            )
        if losses is not None:
            losses = as_tensor(losses, what="losses")
            self._check_shape(losses, (self.num_tasks,), "losses")
        self.features, self.losses = tuple(features), None if losses is None else losses.detach()
        try:
            direction = self.combine(jacobian)
        finally:
            self.features, self.losses = (), None
        check_output(self, direction, {"jacobian": jacobian, "losses": losses}, what="the direction", unit="task")
        return direction

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return detached weights (T,) from losses (T,) and, if ``order`` needs it, a Gramian (T, T)."""
        raise NotImplementedError(f"{type(self).__name__} implements no weigh(losses, gramian)")

    def own_loss(self, losses: Tensor, gramian: Tensor | None) -> Tensor:
        """Return the scalar that trains the weighting's own parameters; losses (T,) are constant."""
        return losses.new_zeros(())

    def observe(self, jacobians: Sequence[Tensor]) -> None:
        """Receive the Jacobians (T, P) of further batches at the same weights, before :meth:`direction`.

        Rows of tasks without labels are zero.
        """

    def combine(self, jacobian: Tensor) -> Tensor:
        """Return the direction (P,) from J (T, P)."""
        raise NotImplementedError(f"{type(self).__name__} implements no combine(jacobian)")

    def private_weights(self, weights: Tensor | None) -> Tensor | None:
        """Return the (T,) weights of gradients for parameters of single tasks; None for ones.

        Args:
            weights: what :meth:`weights` returned; None after :meth:`direction`.
        """
        return weights if self.heads == "weighted" else None

    def transformed(self, losses: Tensor) -> Tensor:
        """Return the losses (T,) to weight, such as logarithms or scaled losses; heads follow them as well."""
        return losses

    def after_step(self, losses: Tensor) -> None:
        """Receive the losses (T,) of the same batch after the step."""

    def on_epoch(self, mean_losses: Tensor) -> None:
        """Receive the mean losses (T,) of the finished epoch."""

    @contextmanager
    def among(self, present: Tensor | None) -> Iterator[None]:
        """Set which tasks (T,) have labels in the batch, for the code inside."""
        before = self.present
        self.present = present
        try:
            yield
        finally:
            self.present = before

    def those_present(self, terms: Tensor) -> Tensor:
        """Return terms (T,) with zeros for tasks without labels in the batch."""
        return terms if self.present is None else terms.where(self.present, terms.new_zeros(()))

    def _check_tasks(self, losses: Tensor, gramian: Tensor | None) -> None:
        self._check_shape(losses, (self.num_tasks,), "losses")
        if gramian is not None:
            self._check_shape(gramian, (self.num_tasks, self.num_tasks), "gramian")
            squares = gramian.diagonal()
            check_output(self, squares, {"gramian": squares}, what="the squared gradient norm", unit="task")

    def _check_shape(self, value: Tensor, shape: tuple[int, ...], what: str) -> None:
        if value.shape != shape:
            raise ValueError(
                f"{type(self).__name__}: {what} of shape {tuple(value.shape)}; it was built with "
                f"num_tasks={self.num_tasks}"
            )

    def _checked(self, value: Tensor, what: str, losses: Tensor) -> Tensor:
        check_output(self, value, {"losses": losses}, what=what, unit="task")
        return value
