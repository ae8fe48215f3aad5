"""What goes into a method and comes out of it is looked at, once for all methods of a kind.

Every base class of :mod:`tlzoo.methods.base` names the guards of its contract; a subclass that implements a guarded
function gets it wrapped, so that a method's file holds nothing but its paper. On the CPU a guard costs microseconds; on
an accelerator values are not looked at: asking would stall the queue (the Lightning modules ask at logging steps).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.functional.checks import is_finite, where_not_finite
from tlzoo.types import Losses, Prediction, Scorer, Sees, is_withheld

if TYPE_CHECKING:
    from tlzoo.methods.adapting import SourceFree, TestTime
    from tlzoo.methods.alternating import Alternating
    from tlzoo.methods.base import Alignment, Compatibility, DomainMethod, EpisodeClassifier, Method, Weighting
    from tlzoo.methods.transforms import FeatureTransform

__all__ = [
    "check_filled",
    "check_output",
    "guard_alignment",
    "guard_answers",
    "guard_base_set",
    "guard_bind",
    "guard_episodes",
    "guard_fit",
    "guard_jacobian",
    "guard_loss",
    "guard_penalty",
    "guard_phase",
    "guard_target",
    "guard_tasks",
    "guard_transform",
    "guard_transform_fit",
]


def check_output(
    method: Method, value: Tensor, inputs: Mapping[str, Tensor | None], *, what: str, unit: str = "row"
) -> None:
    """Check that what a method returns is finite.

    Args:
        method: whose value it is.
        value: what it returned.
        inputs: what it was made from, by name; the culprits among them are named.
        what: what the value is.
        unit: what the first dimension of value and inputs counts.

    Raises:
        FloatingPointError: NaN or Inf.
    """
    if is_finite(value):
        return
    found = (
        f"{what} is {value.item()}"
        if value.ndim == 0
        else f"NaN or Inf in {what} ({where_not_finite(value, unit=unit)})"
    )
    culprits = [
        f"{name} ({where_not_finite(tensor, unit=unit)})" if tensor.ndim else name
        for name, tensor in inputs.items()
        if tensor is not None and not is_finite(tensor)
    ]
    state = [*method.named_parameters(), *method.named_buffers()]
    culprits += [f"its own {name}" for name, tensor in state if not is_finite(tensor)]
    why = (
        f"NaN or Inf in {', '.join(culprits)}; look there first, or lower the learning rate"
        if culprits
        else "its inputs and parameters are finite, so values overflowed on the way; scale the inputs down"
    )
    raise FloatingPointError(f"{type(method).__name__}: {found}: {why}")


def guard_alignment(forward: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the sides that the method declares, then its loss."""

    @functools.wraps(forward)
    def guarded(self: Alignment, source: Prediction, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: forward(self, source, target, **settings), source, target)

    return guarded


def guard_phase(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the sides that the method declares, then the loss of a phase."""

    @functools.wraps(loss)
    def guarded(self: Alternating, phase: str, source: Prediction, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: loss(self, phase, source, target, **settings), source, target)

    return guarded


def guard_target(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the target, then the loss."""

    @functools.wraps(loss)
    def guarded(self: SourceFree, target: Prediction, **settings: Any) -> Losses:
        return _checked(self, lambda: loss(self, target, **settings), None, target)

    return guarded


def guard_answers(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check a test batch, then the answers."""

    @functools.wraps(forward)
    def guarded(self: TestTime, inputs: Any) -> Tensor:
        if not len(inputs):
            raise ValueError(f"{type(self).__name__}: the test batch is empty; expected one example or more")
        given = {"inputs": inputs} if isinstance(inputs, Tensor) else {}
        _check_inputs(self, given)
        logits = forward(self, inputs)
        check_output(self, logits, given, what="the logits")
        return logits

    return guarded


def _checked(
    method: DomainMethod, compute: Callable[[], Losses], source: Prediction | None, target: Prediction
) -> Losses:
    sides = {"source": (source, Sees.SOURCE_INPUTS), "target": (target, Sees.TARGET_INPUTS)}
    seen = {name: side for name, (side, sees) in sides.items() if side is not None and sees in method.sees}
    for name, side in seen.items():
        _check_side(method, name, side)
    shown = {name: side for name, side in seen.items() if _shows(side)}
    shown |= {f"{name}.{view}": said for name, side in shown.items() for view, said in side.views.items()}
    inputs = {f"{name}.{part}": getattr(side, part) for name, side in shown.items() for part in _PARTS}
    _check_inputs(method, inputs)  # first: a decomposition fails on them, a bounded function hides them
    terms = compute()
    check_output(method, terms["loss"], inputs, what="the loss")
    return terms


_PARTS = ("features", "logits")


def _check_inputs(method: Method, inputs: Mapping[str, Tensor]) -> None:
    wrong = [f"{name} ({where_not_finite(v, unit='row')})" for name, v in inputs.items() if not is_finite(v)]
    if wrong:
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {', '.join(wrong)}; look there first, or lower the learning rate"
        )


def _shows(side: Prediction) -> bool:
    return not is_withheld(side, "features")


def _check_side(method: DomainMethod, name: str, side: Prediction) -> None:
    if not _shows(side):
        return
    features, logits = side.features, side.logits
    if features.ndim != 2 or logits.ndim != 2 or len(features) != len(logits):
        raise ValueError(
            f"{type(method).__name__}: {name} features and logits have shapes {tuple(features.shape)} and "
            f"{tuple(logits.shape)}; expected (B, D) and (B, C)"
        )
    if features.shape[1] != method.num_features:
        raise ValueError(
            f"{type(method).__name__}: {name} features have width {features.shape[1]}; it was built with "
            f"num_features={method.num_features}"
        )
    if not len(features):
        raise ValueError(f"{type(method).__name__}: the {name} batch is empty; expected one example or more")


def check_filled(method: Method, **parts: Tensor) -> None:
    """Check that episodes (E, N, ...) have items.

    Args:
        method: that is to answer them.
        parts: support and query, by name.

    Raises:
        ValueError: there is no episode, or a part of the episodes is empty.
    """
    for name, part in parts.items():
        if not len(part):
            raise ValueError(f"{type(method).__name__}: no episode; expected one or more")
        if not part.shape[1]:
            which = "episode 0 has" if len(part) == 1 else f"episodes 0 to {len(part) - 1} have"
            raise ValueError(f"{type(method).__name__}: {which} no {name}; expected one item or more in each")


def guard_episodes(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check the shapes of episodes, then the logits."""

    @functools.wraps(forward)
    def guarded(self: EpisodeClassifier, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        fits = support.ndim == query.ndim == 3 and support_labels.shape == support.shape[:2]
        if not fits or len(support) != len(query) or support.shape[2] != query.shape[2]:
            raise ValueError(
                f"{type(self).__name__}: support, support_labels and query have shapes {tuple(support.shape)}, "
                f"{tuple(support_labels.shape)} and {tuple(query.shape)}; expected (E, S, D), (E, S) and (E, Q, D)"
            )
        check_filled(self, support=support, query=query)
        logits = forward(self, support, support_labels, query, way=way)
        check_output(self, logits, {"support": support, "query": query}, what="the logits", unit="episode")
        return logits

    return guarded


def guard_base_set(fit_base: Callable[..., None]) -> Callable[..., None]:
    """Check the features of a base set."""

    @functools.wraps(fit_base)
    def guarded(self: EpisodeClassifier, features: Tensor, labels: Tensor | None) -> None:
        _check_matrix(self, features, "base features", "(N, D)")
        fit_base(self, features, labels)

    return guarded


def guard_tasks(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check that there is one loss a task, then the result."""

    @functools.wraps(function)
    def guarded(self: Weighting, losses: Tensor, *rest: Any, **settings: Any) -> Tensor:
        _check_tasks(self, losses, (self.num_tasks,), "losses")
        gramian = settings.get("gramian", rest[0] if rest else None)
        if gramian is not None:
            _check_tasks(self, gramian, (self.num_tasks, self.num_tasks), "gramian")
            squares = gramian.diagonal()
            check_output(self, squares, {"gramian": squares}, what="the squared gradient norm", unit="task")
        result = function(self, losses, *rest, **settings)
        check_output(self, result, {"losses": losses}, what=_called(function), unit="task")
        return result

    return guarded


def _check_tasks(method: Weighting, value: Tensor, shape: tuple[int, ...], what: str) -> None:
    if value.shape != shape:
        raise ValueError(
            f"{type(method).__name__}: {what} of shape {tuple(value.shape)}; it was built with "
            f"num_tasks={method.num_tasks}"
        )


def guard_jacobian(direction: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check the direction made from task gradients."""

    @functools.wraps(direction)
    def guarded(self: Weighting, jacobian: Tensor) -> Tensor:
        _check_tasks(self, jacobian, (self.num_tasks, *jacobian.shape[1:2]), "jacobian")
        result = direction(self, jacobian)
        check_output(self, result, {"jacobian": jacobian}, what="the direction", unit="task")
        return result

    return guarded


def guard_fit(fit: Callable[..., Compatibility]) -> Callable[..., Compatibility]:
    """Check the examples and classes of a fit."""

    @functools.wraps(fit)
    def guarded(self: Compatibility, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Compatibility:
        _check_matrix(self, features, "features", "(N, D)")
        _check_matrix(self, class_embeddings, "class embeddings", "(C, A)")
        if labels.shape != features.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: {len(features)} features and labels of shape {tuple(labels.shape)}; "
                "expected one label each"
            )
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= len(class_embeddings):
            raise ValueError(
                f"{type(self).__name__}: labels from {lowest} to {highest} for {len(class_embeddings)} class "
                "embeddings; expected a row for each label"
            )
        return fit(self, features, labels, class_embeddings)

    return guarded


def guard_transform_fit(fit: Callable[..., FeatureTransform]) -> Callable[..., FeatureTransform]:
    """Check the features of both domains, the target's where the method sees them."""

    @functools.wraps(fit)
    def guarded(self: FeatureTransform, source: Tensor, target: Tensor | None) -> FeatureTransform:
        _check_width(self, source, "source features")
        if Sees.TARGET_INPUTS not in self.sees:
            return fit(self, source, None)
        if target is None:
            raise ValueError(f"{type(self).__name__}: the target is None, and what it aligns is source and target")
        _check_width(self, target, "target features")
        return fit(self, source, target)

    return guarded


def guard_transform(transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Check features, then what became of them."""

    @functools.wraps(transform)
    def guarded(self: FeatureTransform, features: Tensor) -> Tensor:
        _check_width(self, features, "features")
        result = transform(self, features)
        check_output(self, result, {"features": features}, what="the transformed features")
        return result

    return guarded


def _check_width(method: DomainMethod, features: Tensor, what: str) -> None:
    _check_matrix(method, features, what, "(N, D)")
    if features.shape[1] != method.num_features:
        raise ValueError(
            f"{type(method).__name__}: {what} have width {features.shape[1]}; it was built with "
            f"num_features={method.num_features}"
        )


def guard_loss(loss: Callable[..., Losses]) -> Callable[..., Losses]:
    """Check the loss of a compatibility that is trained step by step."""

    @functools.wraps(loss)
    def guarded(self: Compatibility, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> Losses:
        terms = loss(self, features, labels, class_embeddings)
        inputs = {"features": features, "class embeddings": class_embeddings}
        check_output(self, terms["loss"], inputs, what="the loss")
        return terms

    return guarded


def guard_bind(bind: Callable[..., Scorer]) -> Callable[..., Scorer]:
    """Check candidates, and the scores of the scorer that is returned."""

    @functools.wraps(bind)
    def guarded(self: Compatibility, class_embeddings: Tensor, *, seen: Tensor) -> Scorer:
        _check_matrix(self, class_embeddings, "class embeddings", "(C, A)")
        if seen.shape != class_embeddings.shape[:1]:
            raise ValueError(
                f"{type(self).__name__}: {len(class_embeddings)} candidates and seen of shape {tuple(seen.shape)}; "
                "expected one boolean each"
            )
        return _GuardedScorer(self, bind(self, class_embeddings, seen=seen))

    return guarded


class _GuardedScorer:
    """A scorer whose scores are looked at; everything else it has is passed on."""

    def __init__(self, method: Compatibility, scorer: Scorer) -> None:
        self._method, self._scorer = method, scorer

    def __call__(self, features: Tensor) -> Tensor:
        scores = self._scorer(features)
        check_output(self._method, scores, {"features": features}, what="the scores")
        return scores

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_scorer"], name)


def guard_penalty(penalty: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    """Check the penalty of a strategy."""

    @functools.wraps(penalty)
    def guarded(self: Method, backbone: Any, head: Any) -> Tensor | None:
        value = penalty(self, backbone, head)
        if value is not None:
            networks = {"backbone": backbone, "head": head}
            inputs = {f"{name}.{key}": p for name, network in networks.items() for key, p in network.named_parameters()}
            check_output(self, value, inputs, what="the penalty")
        return value

    return guarded


def _called(function: Callable[..., Any]) -> str:
    return {"forward": "the total", "weights": "the weights", "objective": "the objective"}[function.__name__]


def _check_matrix(method: Method, value: Tensor, what: str, shape: str) -> None:
    if value.ndim != 2 or not len(value):
        raise ValueError(
            f"{type(method).__name__}: {what} of shape {tuple(value.shape)}; expected {shape} with at least one row"
        )
    if not is_finite(value):
        raise FloatingPointError(
            f"{type(method).__name__}: NaN or Inf in {what} ({where_not_finite(value, unit='row')}); drop or repair it"
        )
