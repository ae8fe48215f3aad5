"""Own arrays to predictions, for each type, in at most five lines."""

import numpy as np
import pytest

RANDOM = np.random.default_rng(0)
PLACES = np.arange(90) % 3
CENTERS = RANDOM.normal(size=(4, 6)) * 4
GIVEN = {
    "X": CENTERS[PLACES] + RANDOM.normal(size=(90, 6)),
    "y": np.array(["ant", "bee", "cat"])[PLACES],
    "X_new": CENTERS[PLACES] + RANDOM.normal(size=(90, 6)) + 0.5,
    "X_dog": CENTERS[[3] * 20] + RANDOM.normal(size=(20, 6)),
    "height": 2 * PLACES + 1.5,
    "vectors": dict(zip(["ant", "bee", "cat", "dog"], CENTERS, strict=True)),
}

TYPES = {
    "adaptation": """
from tlzoo.estimators import DomainAdapter
answers = DomainAdapter("linear_ot").fit(X, y, X_target=X_new).predict(X_new)
""",
    "confusion": """
from tlzoo.estimators import DomainAdapter
dann = DomainAdapter("dann", steps=60, random_state=0)
answers = dann.fit(X, y, X_target=X_new).predict(X_new)
""",
    "multitask": """
from tlzoo.estimators import MultitaskModel
model = MultitaskModel("uncertainty", steps=100, random_state=0)
answers = model.fit(X, {"species": y, "height": height}).predict(X_new)["species"]
""",
    "one-shot": """
from tlzoo.estimators import FewShotClassifier
answers = FewShotClassifier("simpleshot").fit(X[:3], y[:3]).predict(X_new)
""",
    "zero-shot": """
from tlzoo.estimators import ZeroShotClassifier
model = ZeroShotClassifier("eszsl", vectors, candidates=["bee", "dog"]).fit(X, y)
answers = np.where(model.predict(X_dog) == "dog", y[:20], "none")
""",
    "fine-tuning": """
from tlzoo.estimators import FineTuner
answers = FineTuner("linear_probe", steps=60, random_state=0).fit(X, y).predict(X_new)
""",
    "a model that is trained already": """
import tlzoo
answers = np.array(["ant", "bee", "cat"])[tlzoo.adapt(network, "tent", X_new).labels]
""",
}


@pytest.fixture
def network():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model(torch.from_numpy(GIVEN["X"]).float())
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(PLACES)).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("name", TYPES)
def test_arrays_to_predictions(name, network):
    lines = TYPES[name].strip().splitlines()
    assert len(lines) <= 5
    namespace = {**GIVEN, "np": np, "network": network}
    exec(TYPES[name], namespace)
    answers = namespace["answers"]
    assert np.mean(answers == GIVEN["y"][: len(answers)]) > 0.8
