"""What every method declares and implements; one abstract class a kind of method.

Every class here is a plain ``nn.Module``: no trainer, no Lightning. Anything random or learned is a parameter or
a buffer, so that a checkpoint holds it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.methods import guards
from tlzoo.paper import Paper
from tlzoo.registry import registered_name
from tlzoo.space import Space
from tlzoo.types import Backbone, Losses, Need, Scorer, Sees

__all__ = [
    "Compatibility",
    "EpisodeClassifier",
    "Method",
    "Strategy",
    "Weighting",
    "fitted",
]


class _Constructed:
    """Keeps the arguments that an object was built with, networks and tensors apart: those belong to its state."""

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        """Make the object; its class's ``__init__`` says what it takes."""
        made = super().__new__(cls)
        given = tuple(map(_described, arguments)), {name: _described(value) for name, value in settings.items()}
        object.__setattr__(made, "_given", given)
        return made


class _Word(str):
    """Stands for a value that is not kept; shown without quotes."""

    __repr__ = str.__str__


def _described(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return _Word(type(value).__name__)
    return _Word(f"Tensor{tuple(value.shape)}") if isinstance(value, Tensor) else value


class Method(_Constructed, nn.Module):
    """Base of methods.

    A kind of method has a final function that users call. It checks what comes in, calls the function that each method
    implements and checks what comes out; the method's own function holds its paper and nothing else.

    Attributes:
        label: what tables call it where its paper spells the name otherwise than Python can; else empty.
        paper: where it comes from; None for plain baselines.
        sees: its supervision. It is given nothing else. A composition narrows it to that of its parts when it is built.
        parts: settings that name another method of the registry, and the setting that holds that one's settings: what
            the other is counts as part of what this one is, its revision included.
        needs: what it wants beside features, logits and labels.
        revision: raised when its numbers change; part of a benchmark cell's hash.
        space: settings that are worth tuning, and what benchmarks draw them from (``trials`` of a suite).
        implements: the function that a method of this kind implements, for errors.
        guarded: functions of the contract and what checks them, see :mod:`tlzoo.methods.guards`.
        variants: settings under which :mod:`tlzoo.methods.conformance` checks it: the default first, then those that
            take another path. A setting without default stands in each; widths are those of that package's ``SHAPE``.
    """

    label: ClassVar[str] = ""
    paper: ClassVar[Paper | None] = None
    sees: frozenset[Sees]
    parts: ClassVar[Mapping[str, str]] = {}
    needs: frozenset[Need] = frozenset()
    revision: ClassVar[int] = 1
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    space: ClassVar[Space] = Space()
    implements: ClassVar[str] = ""
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        for name in vars(cls):
            owner = next((base for base in cls.__mro__[1:] if name in vars(base)), None)
            if owner is not None and getattr(vars(owner)[name], "__final__", False):
                raise TypeError(
                    f"{cls.__name__} overrides {owner.__name__}.{name}, which checks what goes in and comes out; "
                    f"implement {cls.implements} instead"
                )
        for name, guard in cls.guarded.items():
            if name in cls.__dict__:
                setattr(cls, name, guard(cls.__dict__[name]))

    @property
    def name(self) -> str:
        """Full name in the registry, or the class's where it is the user's own."""
        return registered_name(type(self))

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor with their values, defaults included."""
        arguments, settings = self._given
        bound = inspect.signature(type(self)).bind_partial(*arguments, **settings)
        bound.apply_defaults()
        return {name: vars(self).get(name, value) for name, value in bound.arguments.items()}

    def extra_repr(self) -> str:
        """Show the settings where modules are printed."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())

    @property
    def order_matters(self) -> bool:
        """Whether the order of the items in a batch changes the result: linear estimators, sampled orders."""
        return False


def fitted(method: Method, buffer: str, *, by: str = "fit") -> Tensor:
    """Return a buffer that ``by`` fills; until then it holds NaN.

    Raises:
        RuntimeError: it was not filled yet.
    """
    value = method.get_buffer(buffer)
    if bool(value.isnan().any()):
        raise RuntimeError(f"{type(method).__name__}: {buffer} is not known yet; call {by} first")
    return value


class EpisodeClassifier(Method):
    """Support set in, query logits out; a leading dimension of E episodes of one shape.

    A method is what it does to each feature on its own (:meth:`transform`), and what it does to an episode of the
    transformed features (:meth:`classify`). The two are apart because a data set is transformed once, and episodes of
    it are many.

    Attributes:
        rotation_invariant: ``classify`` depends on inner products of features alone, so that an episode may come in any
            coordinates that keep them: an episode of n items spans n dimensions at most, see
            :class:`tlzoo.methods.episode_answers.EpisodeAnswers`.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    rotation_invariant: ClassVar[bool] = False

    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "forward": guards.guard_episodes,
        "classify": guards.guard_episodes,
        "fit_base": guards.guard_base_set,
    }

    def forward(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way).

        Raises:
            ValueError: shapes that do not fit, or a class of an episode without support.
            FloatingPointError: NaN or Inf in the logits; the episode is named. Looked at on the CPU only.
        """
        return self.classify(self.transform(support), support_labels, self.transform(query), way=way)

    def transform(self, features: Tensor) -> Tensor:
        """Map features (..., D), each on its own, to those that :meth:`classify` takes."""
        return features

    def classify(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Do what ``forward`` does, from features that were transformed already; the errors are the same."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar that episodic training goes backward from: logits (E, Q, way), labels (E, Q)."""
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def fit_base(self, features: Tensor, labels: Tensor | None) -> None:
        """Take in the base set: features (N, D), labels (N,) or None where the method does not declare them."""


class Weighting(Method):
    """Weights of task losses or gradients.

    The update is J^T w for shared parameters, with J (T, P) the task gradients; ``order`` says what w is made of.

    Attributes:
        order: ``"losses"``: w comes from the losses, and heads follow the weighted sum as everything else does.
            ``"gramian"``: from G = J J^T; heads follow their own loss, unweighted. ``"jacobian"``: a
            :meth:`direction` is made from J itself.
        present: (T,) booleans, False where a task has no label in the batch at hand; None where all have. Such a
            task has a loss of 0 and no row. Set by :meth:`among`.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    order: ClassVar[Literal["losses", "gramian", "jacobian"]] = "losses"
    present: Tensor | None = None
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "forward": guards.guard_tasks,
        "weights": guards.guard_tasks,
        "objective": guards.guard_tasks,
        "direction": guards.guard_jacobian,
    }

    def __init__(self, num_tasks: int) -> None:
        super().__init__()
        if num_tasks < 1:
            raise ValueError(f"{num_tasks} tasks; expected at least one")
        self.num_tasks = num_tasks

    @contextmanager
    def among(self, present: Tensor | None) -> Iterator[None]:
        """Say, for what runs inside, which tasks (T,) have labels in the batch."""
        before = self.present
        self.present = present
        try:
            yield
        finally:
            self.present = before

    def those_present(self, terms: Tensor) -> Tensor:
        """Return terms (T,) with zeros for tasks that have no label in the batch."""
        return terms if self.present is None else terms.where(self.present, terms.new_zeros(()))

    def forward(self, losses: Tensor, gramian: Tensor | None = None) -> Tensor:
        """Return the scalar to go backward from, for a loop of one's own.

        It is the sum of weights times losses (T,), whose gradient trains the network, plus the objective, whose
        gradient trains the weighting.

        Raises:
            ValueError: another number of losses than tasks.
            FloatingPointError: NaN or Inf; the task is named. Looked at on the CPU only.
        """
        constants = losses.detach()
        given = (constants,) if gramian is None else (constants, gramian)
        return (self.weights(*given) * self.transformed(losses)).sum() + self.objective(*given)

    def transformed(self, losses: Tensor) -> Tensor:
        """Return the losses (T,) whose gradients are weighed: logarithms, learned scales. Heads follow them, too."""
        return losses

    def weights(self, losses: Tensor, gramian: Tensor | None = None) -> Tensor:
        """Return (T,) detached weights from losses (T,) and, where ``order`` asks, the Gramian (T, T)."""
        raise NotImplementedError

    def objective(self, losses: Tensor, gramian: Tensor | None = None) -> Tensor:
        """Return the scalar that trains the weighting's own parameters; losses (T,) arrive detached."""
        return losses.new_zeros(())

    def direction(self, jacobian: Tensor) -> Tensor:
        """Map J (T, P) to a direction (P,), for those that are no weighting of tasks."""
        raise NotImplementedError

    def after_step(self, losses: Tensor) -> None:
        """Take in the losses (T,) of the same batch after the step."""

    def on_epoch(self, mean_losses: Tensor) -> None:
        """Take in the mean losses (T,) of the epoch that ended."""


class Compatibility(Method):
    """Scores features against class descriptions.

    ``fit`` gets seen classes alone; all candidates come in ``bind``.

    Attributes:
        sized_by_fit: buffers whose shape depends on the seen classes; they take the shape of what is loaded.
    """

    sized_by_fit: ClassVar[tuple[str, ...]] = ()

    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.CLASS_DESCRIPTIONS})

    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "fit": guards.guard_fit,
        "loss": guards.guard_loss,
        "bind": guards.guard_bind,
    }

    def fit(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Self:
        """Learn from features (N, D), labels (N,) into class_embeddings (C, A).

        Raises:
            ValueError: shapes that do not fit, no example, or a label without class embedding.
            FloatingPointError: NaN or Inf in features or class embeddings; the row is named.
        """
        return self

    def loss(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        """Return the loss of a batch, for methods that are trained step by step; overridden, it replaces ``fit``."""
        raise NotImplementedError

    @property
    def trained(self) -> bool:
        """Whether it is trained step by step on ``loss``, rather than fitted at once."""
        return type(self).loss is not Compatibility.loss

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.sized_by_fit:
            if (stored := state_dict.get(prefix + name)) is not None:
                own = self.get_buffer(name)
                setattr(self, name, own.new_empty(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def bind(self, class_embeddings: Tensor, *, seen: Tensor) -> Scorer:
        """Return the scorer among candidates (C, A); ``seen`` (C,) is True where the class was trained on."""
        raise NotImplementedError


class Strategy(Method):
    """How a pretrained network is re-used as the starting point: fine-tuning.

    Attributes:
        keeps_pretraining: what the network learned before reaches the result, and so does what it saw then.
    """

    sees = frozenset({Sees.TARGET_INPUTS, Sees.TARGET_LABELS})
    keeps_pretraining: ClassVar[bool] = True
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {"penalty": guards.guard_penalty}

    def prepare(self, backbone: Backbone) -> Backbone:
        """Return the backbone to train: frozen, re-initialized or wrapped."""
        return backbone

    def parameter_groups(self, backbone: Backbone, *, lr: float) -> list[dict[str, Any]]:
        """Return optimizer groups of the backbone's trainable parameters."""
        parameters = [p for p in backbone.parameters() if p.requires_grad]
        return [{"params": parameters, "lr": lr}] if parameters else []

    def penalty(self, backbone: Backbone, head: nn.Module) -> Tensor | None:
        """Return a scalar added to the loss, or None."""
        return None

    def on_progress(self, backbone: Backbone, progress: float) -> None:
        """Change what is trainable as training goes on (``progress`` in [0, 1])."""
