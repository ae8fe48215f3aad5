"""What the guards of the base classes say; that every method has them is tests/conformance."""

import pytest
import torch

from tlzoo.methods.adaptation import DAN, SourceOnly, TargetOnly
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.base import Weighting
from tlzoo.methods.confusion import DANN
from tlzoo.methods.multitask import Equal, Uncertainty
from tlzoo.methods.oneshot import ProtoNet, SimpleShot
from tlzoo.methods.zeroshot import ESZSL, Cosine
from tlzoo.types import Prediction, withheld


def side(rows=4, width=3):
    return Prediction(features=torch.ones(rows, width), logits=torch.ones(rows, 2))


def broken(where=1, value=torch.nan):
    features = torch.rand(4, 3)
    features[where, 0] = value
    return Prediction(features=features, logits=torch.ones(4, 2))


def test_the_side_and_the_row_are_named():
    with pytest.raises(FloatingPointError, match=r"^DAN: NaN or Inf in target\.features \(row 2\);"):
        DAN(3, 2)(side(), broken(2))
    with pytest.raises(FloatingPointError, match=r"source\.features \(row 1\), target\.features \(row 1\)"):
        DAN(3, 2)(broken(), broken(value=torch.inf))


def test_a_weight_that_is_not_finite_is_named():
    method = DANN(3, 2, hidden=4)
    with torch.no_grad():
        method.discriminator[0].weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"DANN: .* its own discriminator\.0\.weight"):
        method(side(), broken(value=0.5))


def test_overflow_is_told_apart():
    big = Prediction(features=3e38 * torch.rand(4, 3), logits=torch.ones(4, 2))
    with pytest.raises(FloatingPointError, match="inputs and parameters are finite, so values overflowed on the way"):
        DAN(3, 2)(side(), big)


def test_shapes_of_sides():
    with pytest.raises(ValueError, match="DAN: target features have width 5; it was built with num_features=3"):
        DAN(3, 2)(side(), side(width=5))
    with pytest.raises(ValueError, match="DAN: the source batch is empty"):
        DAN(3, 2)(side(0), side())
    with pytest.raises(ValueError, match=r"source features and logits have shapes \(4, 3\) and \(5, 2\)"):
        DAN(3, 2)(Prediction(features=torch.ones(4, 3), logits=torch.ones(5, 2)), side())


def test_a_side_that_is_not_declared_is_not_looked_at():
    closed = withheld(side(), "features", "logits", "labels", why="not yours")
    assert SourceOnly(3, 2)(side(), closed)["loss"].item() == 0
    with pytest.raises(ValueError, match=r"TargetOnly needs target\.labels"):
        TargetOnly(3, 2)(closed, side())


def test_accelerators_are_not_asked():
    loss = DAN(3, 2)(
        *(Prediction(features=torch.ones(4, 3, device="meta"), logits=torch.ones(4, 2, device="meta")),) * 2
    )
    assert loss["loss"].device.type == "meta"


def test_methods_of_ones_own_and_their_heirs_are_checked():
    class Own(Alignment):
        def term(self, source, target, context):
            return {"loss": target.features.sum()}

    class Heir(Own):
        def term(self, source, target, context):
            return super().term(source, target, context)

    for cls in (Own, Heir):
        with pytest.raises(FloatingPointError, match=f"{cls.__name__}: NaN or Inf in target.features"):
            cls(3, 2)(side(), broken())


def test_episodes():
    support, labels, query = torch.rand(2, 4, 3), torch.tensor([[0, 0, 1, 1]] * 2), torch.rand(2, 5, 3)
    query[1, 3, 0] = torch.nan
    message = r"ProtoNet: NaN or Inf in the logits \(episode 1\): NaN or Inf in query \(episode 1\)"
    with pytest.raises(FloatingPointError, match=message):
        ProtoNet()(support, labels, query, way=2)
    with pytest.raises(ValueError, match=r"ProtoNet: support, support_labels and query have shapes"):
        ProtoNet()(support[0], labels[0], query[0], way=2)


def test_base_set():
    method = SimpleShot(3)
    with pytest.raises(FloatingPointError, match=r"SimpleShot: NaN or Inf in base features \(row 1\)"):
        method.fit_base(broken().features, None)
    with pytest.raises(ValueError, match=r"SimpleShot: base features of shape \(0, 3\)"):
        method.fit_base(torch.ones(0, 3), None)


def test_tasks():
    with pytest.raises(FloatingPointError, match=r"Equal: the total is nan: NaN or Inf in losses \(task 1\)"):
        Equal(2)(torch.tensor([1.0, torch.nan]))
    with pytest.raises(FloatingPointError, match=r"Uncertainty: the objective is inf: NaN or Inf in losses \(task 0\)"):
        Uncertainty(2).objective(torch.tensor([torch.inf, 1.0]))
    with pytest.raises(ValueError, match=r"Equal: losses of shape \(3,\); it was built with num_tasks=2"):
        Equal(2).weights(torch.ones(3))
    with pytest.raises(ValueError, match="0 tasks; expected at least one"):
        Equal(0)


def test_directions():
    class Mean(Weighting):
        def direction(self, jacobian):
            return jacobian.mean(dim=0)

    assert Mean(2).direction(torch.eye(2)).tolist() == [0.5, 0.5]
    with pytest.raises(FloatingPointError, match=r"Mean: NaN or Inf in the direction .* jacobian \(task 1\)"):
        Mean(2).direction(torch.tensor([[1.0, 1.0], [1.0, torch.inf]]))


def test_compatibilities():
    method = ESZSL(3, 2)
    labels = torch.tensor([0, 1, 0, 1])
    with pytest.raises(FloatingPointError, match=r"ESZSL: NaN or Inf in features \(row 1\)"):
        method.fit(broken().features, labels, torch.eye(2))
    with pytest.raises(ValueError, match="labels from 0 to 1 for 1 class embeddings"):
        method.fit(torch.rand(4, 3), labels, torch.eye(2)[:1])
    with pytest.raises(ValueError, match=r"4 features and labels of shape \(3,\)"):
        method.fit(torch.rand(4, 3), labels[:3], torch.eye(2))
    with pytest.raises(ValueError, match=r"2 candidates and seen of shape \(3,\)"):
        Cosine().bind(torch.eye(2), seen=torch.ones(3).bool())
    assert method.fit(torch.rand(4, 3), labels, torch.eye(2)) is method
    score = method.bind(torch.eye(2), seen=torch.ones(2).bool())
    with pytest.raises(FloatingPointError, match=r"ESZSL: NaN or Inf in the scores .* features \(row 1\)"):
        score(broken().features)


def test_a_scorer_passes_on_what_it_declares():
    class Transductive:
        needs_all_queries = True

        def __call__(self, features):
            return features

    class Own(Cosine):
        def bind(self, class_embeddings, *, seen):
            return Transductive()

    scorer = Own().bind(torch.eye(2), seen=torch.ones(2).bool())
    assert scorer.needs_all_queries
    with pytest.raises(AttributeError, match="no_such_thing"):
        scorer.no_such_thing  # noqa: B018
