"""Methods that start from a source model: without the source (source-free), or while they answer (test-time)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from tlzoo.methods import guards
from tlzoo.methods.base import Method
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.types import Losses, Prediction, Sees

__all__ = ["SourceFree", "TestTime", "normalization_layers"]


class SourceFree(DomainMethod):
    """Adapts a trained source model to the unlabelled target; the source is never opened (SHOT, NRC, AdaBN).

    Args:
        num_features: D.
        num_classes: C.

    Attributes:
        learns: whether there is a loss to train on; if not, :meth:`start` does everything.
        starts_from: registry name of the method that the source model is trained by.
    """

    sees = frozenset({Sees.TARGET_INPUTS})
    learns: ClassVar[bool] = True
    starts_from: ClassVar[str] = "adaptation/source_only"
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {"loss": guards.guard_target}

    def prepare(self, network: nn.Module) -> None:
        """Take in the source model as soon as it is known: freeze a part of it, before an optimizer is made."""

    def start(self, network: nn.Module, batches: Iterable[Any]) -> None:
        """Take in the target before training: recompute statistics.

        Args:
            network: it may be changed.
            batches: one pass over the raw inputs of the target, (B, ...) each.
        """

    def loss(self, target: Prediction, *, progress: float = 1.0, model: nn.Module | None = None) -> Losses:
        """Return the loss of a target batch under ``"loss"``, and what is worth logging.

        Args:
            target: predictions of a target batch.
            progress: share of training done, in [0, 1].
            model: the network, for methods that declare ``Need.MODEL``.

        Raises:
            ValueError: an empty batch, features of another width, or indices missing that the method needs.
            FloatingPointError: an input or the loss is NaN or Inf; it is named. Looked at on the CPU only.
        """
        return {"loss": target.logits.new_zeros(())}


class TestTime(Method):
    """Answers test batches one after the other, and adapts on the way (TENT, EATA, SAR, CoTTA, T3A, LAME).

    Args:
        model: the source model, inputs in, a :class:`~tlzoo.types.Prediction` out; it is copied, never changed.
    """

    __test__ = False  # no test, though its name begins like one
    sees = frozenset({Sees.TEST_INPUTS})
    guarded: ClassVar[Mapping[str, Callable[..., Any]]] = {"forward": guards.guard_answers}

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.initial = copy.deepcopy(self.model)

    def forward(self, inputs: Any) -> Tensor:
        """Map a test batch (B, ...) to logits (B, C), then adapt to it.

        Raises:
            ValueError: an empty batch.
            FloatingPointError: NaN or Inf in inputs or answers; the row is named. Looked at on the CPU only.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget everything but the source model."""
        self.model.load_state_dict(self.initial.state_dict())

    def predict(self, inputs: Any, model: nn.Module | None = None) -> Prediction:
        """Return the prediction of the model at hand.

        Raises:
            TypeError: the model returns something else.
        """
        prediction = (model or self.model)(inputs)
        if not isinstance(prediction, Prediction):
            raise TypeError(
                f"{type(self).__name__}: the model returned {type(prediction).__name__}; expected a Prediction with "
                "features and logits, as tlzoo.nn.network.Network gives it"
            )
        return prediction

    def train(self, mode: bool = True) -> TestTime:
        """Do nothing: whether statistics are those of the batch is the method's choice, not the loop's."""
        return self


def normalization_layers(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    """Return the layers of some kinds.

    Raises:
        ValueError: there are none.
    """
    found = [module for module in network.modules() if isinstance(module, kinds)]
    if not found:
        names = ", ".join(kind.__name__.lstrip("_") for kind in kinds)
        raise ValueError(
            f"the network has no normalization layer ({names}) to adapt; give it one, such as a bottleneck"
        )
    return found
