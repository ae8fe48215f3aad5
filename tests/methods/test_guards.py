"""What the guards of the base classes say; that every method has them is tests/conformance."""

import pytest
import torch

from tlzoo.methods.adaptation import DAN, SourceOnly, TargetOnly
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.confusion import DANN
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
