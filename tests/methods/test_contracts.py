"""What calling a method means for the caller: stack traces, overriding, function transforms, what is shown."""

import inspect
import traceback
from pathlib import Path

import pytest
import torch
from torch import nn

import tlzoo
from tlzoo.methods.adaptation import DAN, EATA, LAME, MCC, SAR, T3A, TENT, CoTTA, DeepCORAL
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.alternating import Alternating
from tlzoo.methods.combined import Combined
from tlzoo.methods.confusion import CDAN, DANN, VADA
from tlzoo.methods.source_free import SourceFree
from tlzoo.methods.test_time import TestTime
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.types import Context, Prediction

PACKAGE = str(Path(tlzoo.__file__).parent)


def side(rows=6, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    features, logits = (torch.randn(rows, width, generator=generator, dtype=dtype) for width in (4, 3))
    return Prediction(features=features, logits=logits, labels=torch.arange(rows) % 3)


class Wrong(Alignment):
    def term(self, source, target, context):
        raise LookupError("the author's own error")


def frames_below_the_call(call):
    """Return how many frames of the package lie between the caller and the function that raised."""
    with pytest.raises(LookupError) as caught:
        call()
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[0] == files[-1] == __file__
    return sum(file.startswith(PACKAGE) for file in files)


class WrongPhase(Alternating):
    def term(self, phase, source, target):
        raise LookupError(phase)


class WrongSourceFree(SourceFree):
    def term(self, target, context):
        raise LookupError("the author's own error")


class WrongTestTime(TestTime):
    def adapt(self, inputs):
        raise LookupError("the author's own error")


class WrongOnline(TENT):
    def learn(self, inputs, logits):
        raise LookupError("the author's own error")


class WrongTransform(FeatureTransform):
    def fit_maps(self, source, target):
        raise LookupError("the author's own error")

    def map_source(self, features):
        raise LookupError("the author's own error")

    map_target = map_source


class Model(nn.Module):
    def __init__(self, norm=None):
        super().__init__()
        self.norm, self.head = norm or nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, inputs):
        features = self.norm(inputs)
        return Prediction(features=features, logits=self.head(features))


@pytest.mark.parametrize(
    ("call", "frames"),
    [
        (lambda: Wrong(4, 3)(side(), side()), 1),
        (lambda: Combined(MCC(4, 3), Wrong(4, 3))(side(), side()), 2),
        (lambda: WrongPhase(4, 3).loss("learn", side(), side()), 1),
        (lambda: WrongSourceFree(4, 3).loss(side()), 1),
        (lambda: WrongTestTime(Model())(torch.ones(5, 4)), 1),
        (lambda: WrongOnline(Model())(torch.ones(5, 4)), 2),
        (lambda: WrongTransform(4, 3).fit(torch.ones(5, 4), torch.ones(5, 4)), 1),
        (lambda: WrongTransform(4, 3).transform_source(torch.ones(5, 4)), 2),
        (lambda: WrongTransform(4, 3).transform_target(torch.ones(5, 4)), 2),
    ],
)
def test_an_error_in_a_method_of_ones_own_is_near(call, frames):
    assert frames_below_the_call(call) == frames


def test_a_method_is_not_wrapped():
    for function, file in ((DANN.term, "dann.py"), (DAN.statistic, "dan.py")):
        assert not hasattr(function, "__wrapped__")
        assert Path(inspect.getsourcefile(function)).name == file
    assert DAN.forward is Alignment.forward


def test_overriding_what_is_final_is_told_when_the_class_is_made():
    message = r"Old overrides Alignment\.forward, which checks .*; implement term\(source, target, context\) instead"
    with pytest.raises(TypeError, match=message):

        class Old(Alignment):
            def forward(self, source, target, *, progress=1.0, model=None):
                return {"loss": target.features.sum()}


@pytest.mark.parametrize(
    ("base", "name", "instead"),
    [
        (Alternating, "loss", r"term\(phase, source, target\)"),
        (SourceFree, "loss", r"term\(target, context\)"),
        (TestTime, "forward", r"adapt\(inputs\)"),
        (TENT, "forward", r"adapt\(inputs\)"),
        (FeatureTransform, "transform_source", r"fit_maps\(source, target\), map_source"),
    ],
)
def test_every_kind_says_what_to_implement(base, name, instead):
    with pytest.raises(TypeError, match=f"Old overrides .*{name}, .*; implement {instead}"):
        type("Old", (base,), {name: lambda *_: None})


def test_a_method_without_a_function_of_its_own():
    features = torch.ones(5, 4)
    calls = [
        lambda: type("Empty", (Alignment,), {})(4, 3)(side(), side()),
        lambda: type("Empty", (Alternating,), {})(4, 3).loss("learn", side(), side()),
        lambda: type("Empty", (TestTime,), {})(Model())(features),
        lambda: type("Empty", (FeatureTransform,), {})(4, 3).fit(features, features),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError, match=r"Empty implements no (term|adapt|fit_maps)"):
            call()


@pytest.mark.parametrize("cls", [TENT, EATA, SAR, CoTTA, T3A, LAME])
def test_test_time_methods_work_in_inference_mode(cls):
    torch.manual_seed(0)
    model, outside = Model(), torch.randn(6, 4)
    expected = [method(outside) for method in [cls(model)] for _ in range(2)]
    method = cls(model)
    with torch.inference_mode():
        inside = outside.clone()
        found = [method(inside) for _ in range(2)]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)], ids=lambda n: type(n).__name__
)
@pytest.mark.parametrize("cls", [TENT, EATA, SAR, CoTTA])
def test_a_batch_of_one_waits_for_batch_normalization_only(cls, norm):
    torch.manual_seed(0)
    settings = {EATA: {"margin": 1.0, "redundancy": 1.0}, SAR: {"margin": 1.0, "floor": 0.0}}.get(cls, {})
    method = cls(Model(norm), **settings)
    before = [parameter.clone() for parameter in method.trained]
    for _ in range(2):  # the second batch differs from the teacher's answers
        method(torch.randn(1, 4))
    moved = not all(torch.equal(*pair) for pair in zip(before, method.trained, strict=True))
    assert moved == (not isinstance(norm, nn.BatchNorm1d))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"total": torch.ones(())}, "Odd returned terms total; expected a mapping"),
        (torch.ones(()), "Odd returned Tensor; expected a mapping"),
        ({"loss": torch.ones(3)}, r"Odd returned a loss of shape \(3,\); expected a scalar"),
    ],
)
def test_what_a_term_returns(returned, message):
    class Odd(Alignment):
        def term(self, source, target, context):
            return returned

    with pytest.raises(ValueError, match=message):
        Odd(4, 3)(side(), side())


def test_a_missing_model_is_told_by_the_method_that_reads_it():
    vada = VADA(4, 3, hidden=5)
    with pytest.raises(ValueError, match="VADA passes inputs through the network and got none; call it with model="):
        vada(side(), side())
    with pytest.raises(ValueError, match="VADA passes"):
        Combined(MCC(4, 3), vada)(side(), side())
    assert Context(network=vada).model is vada


@pytest.mark.parametrize("progress", [-0.1, 1.5, 5, float("nan")])
def test_progress_is_a_share(progress):
    with pytest.raises(ValueError, match=r"DANN: progress .*; expected the share of training done"):
        DANN(4, 3, hidden=5)(side(), side(), progress=progress)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 3]), "DAN: source labels: 3 in row 2; expected 0 to 2"),
        (torch.tensor([0, -1, 2]), "DAN: source labels: none in row 1"),
        (torch.tensor([0.0, torch.nan, 2.0]), "DAN: source labels: none in row 1"),
        (torch.tensor([1, 2, 3]), "DAN: source labels: 3 in row 2; .*counted from 0: subtract 1"),
        (torch.tensor([0.0, 0.5, 2.0]), r"DAN: source labels: 0\.5 in row 1; class indices are whole numbers"),
        (torch.eye(3), r"DAN: source labels of shape \(3, 3\); .*labels.argmax\(1\)"),
        (torch.tensor([0, 1]), "DAN: source labels has 2 entries for 3 inputs"),
    ],
)
def test_labels_that_are_no_classes(labels, message):
    source = Prediction(features=torch.ones(3, 4), logits=torch.ones(3, 3), labels=labels)
    with pytest.raises(ValueError, match=message):
        DAN(4, 3)(source, side())


CLASSES = torch.tensor([0, 2, 1, 1])
FORMS = [CLASSES.int(), CLASSES.to(torch.uint8), CLASSES.to(torch.int16), CLASSES.float(), CLASSES[:, None]]


@pytest.mark.parametrize("labels", FORMS, ids=lambda labels: f"{labels.dtype} {tuple(labels.shape)}")
@pytest.mark.parametrize("name", ["dsan", "deep_jdot", "pada", "symnets", "mcd", "adda", "wdgrl", "target_only"])
def test_class_indices_of_any_type_are_the_same_labels(name, labels):
    def value(given):
        torch.manual_seed(0)
        method = tlzoo.create_method(name, num_features=5, num_classes=3)
        weights = torch.randn(3, 5)
        method.on_epoch(Prediction(features=torch.randn(6, 5), logits=torch.randn(6, 3)))

        def prediction():
            features = torch.randn(4, 5)
            return Prediction(features=features, logits=features @ weights.T, labels=given)

        source, target = prediction(), prediction()
        if isinstance(method, Alternating):
            return method.loss("learn", source, target)["loss"]
        return method(source, target, progress=0.5)["loss"]

    assert torch.equal(value(labels), value(CLASSES))


def test_logits_of_another_number_of_classes():
    with pytest.raises(ValueError, match="MCC: source logits have width 3; it was built with num_classes=5"):
        MCC(4, 5)(side(), side())


class DANNAtRest(DANN):
    """A discriminator without batch statistics: vmap knows no running ones."""

    def __init__(self, num_features, num_classes):
        super().__init__(num_features, num_classes, hidden=8)
        torch.func.replace_all_batch_norm_modules_(self)


TRANSFORMED = [DAN, DeepCORAL, MCC, DANNAtRest]


def loss_of(method, source):
    def loss(features, logits):
        return method(source, Prediction(features=features, logits=logits), progress=0.5)["loss"]

    return loss


@pytest.mark.parametrize("cls", TRANSFORMED)
def test_grad_and_vmap(cls):
    method, source = cls(4, 3).double(), side(dtype=torch.float64)
    batches = [side(seed=seed, dtype=torch.float64) for seed in range(1, 4)]
    loss = loss_of(method, source)
    stacked = torch.stack([b.features for b in batches]), torch.stack([b.logits for b in batches])
    one_by_one = torch.stack([loss(b.features, b.logits) for b in batches])
    torch.testing.assert_close(torch.func.vmap(loss)(*stacked), one_by_one)
    gradients = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))(*stacked)
    leaves = [value.clone().requires_grad_() for value in stacked]
    total = sum(loss(*both) for both in zip(*leaves, strict=True))
    expected = torch.autograd.grad(total, leaves, allow_unused=True)
    for found, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, torch.zeros_like(found) if wanted is None else wanted)


@pytest.mark.parametrize("cls", TRANSFORMED)
def test_compile(cls):
    method, source, target = cls(4, 3), side(), side(seed=1)
    loss = loss_of(method, source)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(target.features, target.logits), loss(target.features, target.logits))


def test_settings_are_shown():
    assert repr(MCC(4, 3, temperature=2.0)) == "MCC(num_features=4, num_classes=3, temperature=2.0, weight=1.0)"
    cdan = CDAN(4, num_classes=3, random_width=5)
    assert cdan.settings == {
        "num_features": 4,
        "num_classes": 3,
        "entropy": False,
        "normalization": "per_domain",
        "weight_gradient": "reversed",
        "random_width": 5,
        "hidden": 1024,
        "gamma": 10.0,
        "weight": 1.0,
    }
    cdan.weight = 0.5
    assert "weight=0.5" in repr(cdan)
    assert "(discriminator): DomainDiscriminator" in repr(cdan)


def test_settings_hold_no_network():
    class Holds(Alignment):
        def __init__(self, network, scale):
            super().__init__(4, 3)

    method = Holds(nn.Linear(2, 2), torch.ones(5))
    assert method.extra_repr() == "network=Linear, scale=Tensor(5,)"
    assert all(isinstance(value, str) for value in method.settings.values())
