"""Methods with the mistakes of public code: the check that is there for each of them must catch it."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.functional import gradient_reversal, mmd
from tlzoo.methods.adaptation import DAN
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.base import Method
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.conformance import CHECKS, ConformanceError, check_method, scenarios
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.strategy import Strategy
from tlzoo.methods.weighting import Weighting
from tlzoo.paper import Paper
from tlzoo.types import Context, SupervisionError


def flags(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        [CHECKS[check](scenario) for scenario in scenarios(cls)]


def distance(source, target):
    return (source.features.mean(dim=0) - target.features.mean(dim=0)).square().sum()


class Honest(Alignment):
    """Distance of means; num_features: D; num_classes: C."""

    def term(self, source, target, context):
        return {"loss": distance(source, target)}


def test_an_honest_method_passes():
    check_method(Honest)
    check_method("adaptation/dan")


class SoftmaxOverOneOutput(Honest):
    def __init__(self, num_features, num_classes):
        super().__init__(num_features, num_classes)
        self.discriminator = nn.Linear(num_features, 1)

    def term(self, source, target, context):
        reversed_features = gradient_reversal(torch.cat([source.features, target.features]))
        probability = self.discriminator(reversed_features).softmax(dim=1)
        return {"loss": -probability.clamp(1e-6, 1 - 1e-6).log().mean()}


def test_softmax_over_one_output():
    flags(SoftmaxOverOneOutput, "gradient_arrives", "zero everywhere")


class WithoutGradient(Honest):
    def term(self, source, target, context):
        with torch.no_grad():
            return {"loss": mmd(source.features, target.features)}


def test_loss_under_no_grad():
    flags(WithoutGradient, "gradient_arrives", "no gradient comes back")


class InfiniteGradient(Honest):
    def term(self, source, target, context):
        return {"loss": (target.features - target.features).abs().sum().sqrt() + distance(source, target)}


def test_gradient_that_is_not_finite():
    flags(InfiniteGradient, "gradient_arrives", "not finite")


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, gradient):
        return 2 * gradient


class WrongGradient(Honest):
    def term(self, source, target, context):
        return {"loss": _Doubled.apply(distance(source, target))}


def test_gradient_that_is_not_of_the_loss():
    flags(WrongGradient, "gradient_is_right", "finite difference")


class HiddenConstant(Honest):
    def term(self, source, target, context):
        scale = torch.tensor(source.features.tolist(), dtype=source.features.dtype).square().mean()
        return {"loss": scale * distance(source, target)}


def test_part_that_leaves_the_graph_unseen():
    flags(HiddenConstant, "gradient_is_right", "finite difference")


class DetachedPart(Honest):
    def term(self, source, target, context):
        with torch.no_grad():
            scale = target.features.square().mean()
        return {"loss": scale * source.features.square().mean().detach() * distance(source, target)}


def test_parts_detached_in_the_open_are_fine():
    CHECKS["gradient_is_right"](scenarios(DetachedPart)[0])


class WrongReversal(Honest):
    def term(self, source, target, context):
        features = [side.features for side in (source, target)]
        behind = [gradient_reversal(f, 0.7) for f in features]
        return {"loss": _Doubled.apply((behind[0].mean(0) - behind[1].mean(0)).square().sum())}


def test_reversal_is_seen_through():
    flags(WrongReversal, "gradient_is_right", "finite difference")


class LostProjection(Honest):
    def __init__(self, num_features, num_classes):
        super().__init__(num_features, num_classes)
        self.projection = torch.randn(num_features, 2, dtype=torch.float64)

    def term(self, source, target, context):
        return {"loss": ((source.features.mean(0) - target.features.mean(0)) @ self.projection).square().sum()}


def test_random_matrix_outside_the_state():
    flags(LostProjection, "state_is_complete", "after its state was loaded")


class ConsumesRandomness(Honest):
    draw = staticmethod(torch.rand)

    def term(self, source, target, context):
        type(self).draw(1)
        return {"loss": distance(source, target)}


class ConsumesNumpy(ConsumesRandomness):
    draw = staticmethod(np.random.rand)


class ConsumesPython(ConsumesRandomness):
    draw = staticmethod(lambda _: random.random())


@pytest.mark.parametrize(
    ("cls", "library"), [(ConsumesRandomness, "torch"), (ConsumesNumpy, "numpy"), (ConsumesPython, "python")]
)
def test_global_randomness(cls, library):
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - put back below
    flags(cls, "no_global_randomness", f"global random state of {library}")
    torch.set_rng_state(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    random.setstate(before[2])


class FirstRowOnly(Honest):
    def term(self, source, target, context):
        return {"loss": (source.features[0] - target.features[0]).square().sum()}


class UndeclaredLinear(DAN):
    """Hides that the order matters."""

    variants = ({"estimator": "linear"},)
    order_matters = False


@pytest.mark.parametrize("cls", [FirstRowOnly, UndeclaredLinear])
def test_order_of_the_batch(cls):
    flags(cls, "order_is_free", "order_matters is not declared")


def unchecked(cls):
    """Take the checks of its base class off an alignment."""
    cls.forward = lambda self, source, target, *, progress, model: self.term(
        source, target, Context(progress=progress, network=model)
    )
    return cls


@unchecked
class SwallowsNaN(Honest):
    def term(self, source, target, context):
        return {"loss": torch.nan_to_num(distance(source, target))}


def test_nan_swallowed():
    flags(SwallowsNaN, "not_finite_is_named", "no FloatingPointError")


def unchecked_classifier(cls):
    """Take the checks of its base class off an episode classifier."""
    cls.forward = cls.answer
    return cls


@unchecked_classifier
class Unguarded(EpisodeClassifier):
    """Answers without the checks of its base."""

    def answer(self, support, support_labels, query, *, way):
        return query.mean(dim=2, keepdim=True) * support.mean() * torch.arange(way)


def test_nan_returned():
    flags(Unguarded, "not_finite_is_named", "no FloatingPointError")


class DividesByTheSpread(Honest):
    def term(self, source, target, context):
        return {"loss": distance(source, target) / source.features.var(correction=0)}


@unchecked
class UnguardedDistance(Honest):
    def term(self, source, target, context):
        return {"loss": distance(source, target)}


@unchecked
class Unprotected(Honest):
    def term(self, source, target, context):
        return {"loss": distance(source, target) / source.features.var(dim=0, correction=0).sum()}


def test_degenerate_batches():
    flags(Unprotected, "degenerate_batches", "loss (nan|inf)")
    flags(DividesByTheSpread, "degenerate_batches", "FloatingPointError, not ValueError")


def test_invalid_batches():
    flags(UnguardedDistance, "invalid_batches", "an empty source: no error")


class Overwrites(Honest):
    def term(self, source, target, context):
        loss = distance(source, target)
        source.features.data.mul_(2)
        return {"loss": loss}


def test_inputs_overwritten():
    flags(Overwrites, "inputs_are_left_alone", "changes source.features in place")


class AlwaysDouble(Honest):
    def term(self, source, target, context):
        return {"loss": distance(source, target).double()}


class HalfDigits(Honest):
    def term(self, source, target, context):
        shift = 1e4 if source.features.dtype == torch.float32 else 0.0
        spread = (source.features + shift).square().mean(0) - (source.features + shift).mean(0).square()
        return {"loss": spread.sum() + distance(source, target)}


def test_precision():
    flags(AlwaysDouble, "precisions_agree", "float32 inputs give a loss of torch.float64")
    flags(HalfDigits, "precisions_agree", "in float64")


class KeepsALambda(Honest):
    def __init__(self, num_features, num_classes):
        super().__init__(num_features, num_classes)
        self.square = lambda x: x.square()


def test_copies():
    with pytest.raises(Exception, match=r"lambda|local object"):
        CHECKS["copies_agree"](scenarios(KeepsALambda)[0])


class PeeksAtLabels(Honest):
    def term(self, source, target, context):
        return {"loss": F.cross_entropy(target.logits, target.labels)}


def test_labels_that_are_not_declared():
    with pytest.raises(SupervisionError, match="labels: PeeksAtLabels does not declare"):
        CHECKS["gradient_arrives"](scenarios(PeeksAtLabels)[0])


PAPER = Paper(title="T", authors=("A",), venue="V", year=2020, arxiv="2001.00001")


class NoLink(Honest):
    """num_features: D; num_classes: C."""

    paper = PAPER


class Unexplained(Honest):
    """num_features: D."""


class Positional(Honest):
    """num_features: D; num_classes: C; weight: positional."""

    def __init__(self, num_features, num_classes, weight=1.0):
        super().__init__(num_features, num_classes)


class SeesAnything(Honest):
    """num_features: D; num_classes: C."""

    sees = frozenset({"everything"})


class Undeclared(Method):
    """Of no kind."""


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NoLink, "does not link https://arxiv.org/abs/2001.00001"),
        (Unexplained, "does not explain the argument num_classes"),
        (Positional, "tuning argument weight is not keyword-only"),
        (SeesAnything, "sees holds no Sees"),
    ],
)
def test_declarations(cls, message):
    flags(cls, "declaration", message)


def test_a_method_of_no_kind():
    with pytest.raises(TypeError, match="Undeclared is no Alignment"):
        check_method(Undeclared)


@unchecked_classifier
class OneLogitTooMany(EpisodeClassifier):
    """Wrong shape."""

    def answer(self, support, support_labels, query, *, way):
        return query.new_zeros(*query.shape[:2], way + 1)


@unchecked
class VectorLoss(Honest):
    def term(self, source, target, context):
        return {"loss": target.features.square().mean(dim=0)}


@pytest.mark.parametrize("cls", [OneLogitTooMany, VectorLoss])
def test_shapes(cls):
    flags(cls, "state_is_complete", "returned shape")


class ForgetsTheFit(Compatibility):
    """num_features: D; num_embedding: A."""

    def __init__(self, num_features, num_embedding):
        super().__init__()
        self.num_features, self.num_embedding, self.weight = num_features, num_embedding, None

    def learn(self, features, labels, class_embeddings):
        self.weight = features.new_ones(self.num_features, self.num_embedding) * features.mean()

    def scorer(self, class_embeddings, seen):
        weight = self.weight if self.weight is not None else class_embeddings.new_zeros(4, 5)
        offset = class_embeddings.pow(2).sum(dim=1)
        return lambda features: (features @ weight @ class_embeddings.T) * offset


def test_fit_outside_the_state():
    flags(ForgetsTheFit, "state_is_complete", "after its state was loaded")


class TakesNoGradient(Strategy):
    """Trains the backbone, but detaches what it says."""

    def prepare(self, backbone):
        backbone.register_forward_hook(lambda *arguments: arguments[2].detach())
        return backbone


def test_strategy_that_trains_nothing():
    flags(TakesNoGradient, "gradient_arrives", "zero everywhere")


class NoTask(Weighting):
    """num_tasks: T."""

    def weigh(self, losses, gramian):
        return torch.zeros_like(losses)


def test_weighting_that_weighs_nothing():
    flags(NoTask, "gradient_arrives", "zero everywhere")


def test_the_error_is_an_assertion():
    assert issubclass(ConformanceError, AssertionError)
