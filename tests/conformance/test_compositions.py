"""Compositions hold what every method must hold; they are built by name, so each pair is one row here."""

import pickle

import pytest
import torch

from tlzoo.methods.adaptation import BNM, MCC
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.combined import Combined, composition
from tlzoo.methods.conformance import CHECKS, scenarios
from tlzoo.methods.confusion import CDAN, DANN, GVB, PADA
from tlzoo.registry import create_method, method_class, resolve_name
from tlzoo.types import Prediction, Sees


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("names", ["mcc+dann", "atdoc+gvb", "bsp+dan+bnm"])
def test_composition(names, check):
    for scenario in scenarios(method_class(names)):
        CHECKS[check](scenario)


def sides():
    generator = torch.Generator().manual_seed(0)
    return [
        Prediction(
            features=torch.randn(6, 4, generator=generator),
            logits=torch.randn(6, 3, generator=generator),
            labels=torch.arange(6) % 3,
        )
        for _ in range(2)
    ]


def test_terms_add_and_are_named():
    source, target = sides()
    mcc, bnm = MCC(4, 3), BNM(4, 3, weight=2.0)
    both = Combined(mcc, bnm)(source, target)
    expected = mcc(source, target)["loss"] + bnm(source, target)["loss"]
    torch.testing.assert_close(both["loss"], expected)
    assert set(both) == {"loss", "mcc/confusion", "bnm/bnm"}


def test_by_name_with_settings_of_each_part():
    method = create_method("mcc+dann", num_features=4, num_classes=3, mcc={"temperature": 1.0}, dann={"hidden": 8})
    assert isinstance(method, Combined)
    assert method.name == resolve_name("mcc+dann") == "adaptation/mcc+confusion/dann"
    assert method.alignments["mcc"].temperature == 1.0
    assert method.alignments["dann"].discriminator[0].out_features == 8
    assert type(method) is method_class("mcc+dann")
    assert type(pickle.loads(pickle.dumps(method))) is type(method)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_method("mcc+dann", num_features=4, num_classes=3, bnm={}), "its settings are .*mcc=None, dann"),
        (lambda: create_method("mcc+dann", num_features=4, num_classes=3, mcc={"t": 1}), "adaptation/mcc: .*weight"),
        (lambda: method_class("mcc+protonet"), "oneshot/protonet is no alignment"),
        (lambda: Combined(MCC(4, 3), torch.nn.Linear(1, 1)), "Linear is no alignment"),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Combined(MCC(4, 3), MCC(4, 3)), "expected alignments of different classes"),
        (lambda: Combined(MCC(4, 3), DANN(5, 3)), r"MCC\(4, 3\), DANN\(5, 3\)"),
        (Combined, "got nothing"),
        (lambda: method_class("mcc+mcc"), "names a method twice"),
        (lambda: method_class("mcc+dnn"), "did you mean 'dann'"),
    ],
)
def test_what_makes_no_sense(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_declarations_are_united():
    cls = composition(("adaptation/bnm", "adaptation/target_only"))
    assert cls.sees == {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS, Sees.TARGET_INPUTS, Sees.TARGET_LABELS}
    assert create_method("bnm+target_only", num_features=4, num_classes=3).sees == cls.sees


def test_one_head_and_the_product_of_weights():
    gvb = GVB(4, 3, hidden=8)
    assert Combined(MCC(4, 3), gvb).make_head() is gvb.head

    class OwnHead(Alignment):
        def make_head(self):
            return torch.nn.Linear(4, 3)

    with pytest.raises(ValueError, match="gvb and OwnHead each bring their own head"):
        Combined(gvb, OwnHead(4, 3)).make_head()

    class Doubled(PADA):
        def source_weights(self, source):
            return torch.full((len(source),), 2.0)

    source, target = sides()
    pada = PADA(4, 3, hidden=8)
    pada.on_epoch(target)
    both = Combined(pada, Doubled(4, 3, hidden=8))
    torch.testing.assert_close(both.source_weights(source), 2 * pada.source_weights(source))
    assert Combined(MCC(4, 3), CDAN(4, 3, hidden=8)).source_weights(source) is None
