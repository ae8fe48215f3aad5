"""``tlzoo.adapt`` on classifiers that know nothing of tlzoo."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tlzoo
from tlzoo.nn.plain_classifier import PlainClassifier
from tlzoo.types import Prediction

METHODS = ["tent", "eata", "sar", "cotta", "lame", "t3a", "adabn", "shot", "nrc"]


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU())
        self.fc = nn.Linear(16, 3)

    def forward(self, inputs):
        return self.fc(self.body(inputs))


@pytest.fixture(scope="module")
def problem():
    """Return a trained classifier, and target inputs of another scale and place, with labels."""
    torch.manual_seed(0)
    centers = torch.randn(3, 6) * 3
    labels = torch.arange(240) % 3
    source, target = (centers[labels] + torch.randn(240, 6) for _ in range(2))
    model = Plain()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(source), labels).backward()
        optimizer.step()
    return model.eval(), 0.4 * target + 3, labels


@pytest.mark.parametrize("method", METHODS)
def test_every_method_adapts_a_plain_classifier(method, problem):
    model, target, labels = problem
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pairs = DataLoader(TensorDataset(target, labels), batch_size=48)
    adapted = tlzoo.adapt(model, method, pairs, epochs=3)
    assert adapted.logits.shape == (240, 3)
    assert isinstance(adapted.model, Plain)
    assert adapted(target[:5]).shape == (5, 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    again = tlzoo.adapt(model, method, target.numpy(), epochs=3, batch_size=48)
    torch.testing.assert_close(adapted.logits, again.logits)


@pytest.mark.parametrize("method", ["tent", "adabn", "shot"])
def test_adaptation_helps_where_statistics_move(method, problem):
    model, target, labels = problem
    unadapted = (model(target).argmax(dim=1) == labels).float().mean()
    adapted = (tlzoo.adapt(model, method, target).labels == labels).float().mean()
    assert unadapted < 0.7
    assert adapted > 0.9


def test_settings_and_objects(problem):
    model, target, _ = problem
    shot = tlzoo.create_method("shot", num_features=16, num_classes=3, weight=0.0)
    by_name = tlzoo.adapt(model, "shot", target, epochs=1, weight=0.0)
    torch.testing.assert_close(tlzoo.adapt(model, shot, target, epochs=1).logits, by_name.logits)


def test_features_by_layer_function_or_the_heads_input(problem):
    model, target, _ = problem
    expected = model.body(target)
    functions = [None, "body", lambda own, inputs: own.body(inputs)]
    for features in functions:
        torch.testing.assert_close(PlainClassifier(model, features=features)(target).features, expected)
    assert PlainClassifier(model).head is model.fc


class Named(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.fc, self.form = nn.Linear(6, 3), form

    def forward(self, inputs):
        return self.form(self.fc(inputs))


@pytest.mark.parametrize(
    "form",
    [lambda x: x, lambda x: {"logits": x}, lambda x: Prediction(features=x, logits=x)],
)
def test_outputs_of_several_forms(form):
    assert PlainClassifier(Named(form))(torch.ones(2, 6)).logits.shape == (2, 3)


def test_mistakes_are_named(problem):
    model, target, _ = problem
    with pytest.raises(TypeError, match="adaptation/dan does not adapt a trained model"):
        tlzoo.adapt(model, "dan", target)
    with pytest.raises(ValueError, match="no layer 'bdy'"):
        tlzoo.adapt(model, "tent", target, features="bdy")
    with pytest.raises(ValueError, match="no linear layer"):
        tlzoo.adapt(nn.Identity(), "tent", target)
    with pytest.raises(TypeError, match="expected logits"):
        PlainClassifier(Named(lambda x: x.sum()))(target)
    with pytest.raises(ValueError, match="no item"):
        tlzoo.adapt(model, "shot", [])
    with pytest.raises(TypeError, match="batches are mappings"):
        tlzoo.adapt(model, "tent", [{"pixels": np.zeros(3)}])
    with pytest.raises(TypeError, match=r"the model is a function; expected a torch\.nn\.Module"):
        tlzoo.adapt(lambda x: x, "tent", target)
    with pytest.raises(TypeError, match="got a str; expected batches of inputs"):
        tlzoo.adapt(model, "tent", "target")
    for name, value in {"batch_size": 0, "epochs": -1, "seed": -1, "lr": float("nan")}.items():
        with pytest.raises(ValueError, match=f"^{name} {value}; expected "):
            tlzoo.adapt(model, "shot", target, **{name: value})


@pytest.mark.parametrize("method", ["shot", "nrc"])
def test_a_last_batch_of_one_item_is_answered_and_not_trained_on(method, problem):
    model, target, _ = problem
    adapted = tlzoo.adapt(model, method, target[:49], batch_size=48, epochs=1)
    assert adapted.logits.shape == (49, 3)
    with pytest.raises(ValueError, match="a batch of one item has no statistics for batch normalization"):
        tlzoo.adapt(model, method, target[:3], batch_size=1)
