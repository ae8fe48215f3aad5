"""Arrays and tables in, classes out: what estimators do beyond scikit-learn's contract."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlzoo
from tlzoo.estimators import (
    DomainAdapter,
    FewShotClassifier,
    FineTuner,
    MultitaskModel,
    Whole,
    ZeroShotClassifier,
    label_free_scorer,
)

RANDOM = np.random.default_rng(0)
NAMES = np.array(["cat", "dog", "owl"])
CENTERS = RANDOM.normal(size=(8, 6)) * 3
SHORT = {"steps": 40, "optimizer": {"name": "adam", "lr": 0.02, "backbone_lr": 1.0}, "random_state": 0}


def drawn(size, classes=3, first=0):
    places = np.arange(size) % classes + first
    return CENTERS[places] + RANDOM.normal(size=(size, 6)), places


X, PLACES = drawn(90)
Y = NAMES[PLACES]
X_TARGET, TARGET_PLACES = drawn(90)
X_NEAR, X_TARGET = X_TARGET + 0.5, 0.4 * X_TARGET + 2
Y_TARGET = NAMES[TARGET_PLACES]

METHODS = [
    "coral",
    "linear_ot",
    "tca",
    "kmm",
    "jdot",
    "dan",
    "mcc",
    "fixmatch",
    "dann",
    "mcd",
    "shot",
    "adabn",
    "tent",
    "lame",
    "mcc+dann",
]


@pytest.mark.parametrize("method", METHODS)
def test_any_method_of_domains_in_four_lines(method):
    adapter = DomainAdapter(method, bottleneck=16, **SHORT)
    adapter.fit(X, Y, X_target=X_NEAR)
    assert adapter.score(X_NEAR, Y_TARGET) > 0.8
    assert adapter.transform(X_NEAR).shape[0] == 90
    np.testing.assert_allclose(adapter.predict_proba(X_NEAR).sum(axis=1), 1)


def test_adaptation_beats_the_source_alone():
    source, adapted = (DomainAdapter(name).fit(X, Y, X_target=X_TARGET) for name in ("unaligned", "linear_ot"))
    assert source.score(X_TARGET, Y_TARGET) < adapted.score(X_TARGET, Y_TARGET)


@pytest.mark.parametrize("method", ["coral", "mcc"])
def test_domains_of_rows_as_in_skada(method):
    both, labels = np.concatenate([X, X_TARGET]), np.concatenate([PLACES, np.full(90, -1)])
    domains = np.concatenate([np.ones(90), -2 * np.ones(90)])
    order = RANDOM.permutation(180)
    given = both[order], labels[order]
    apart = DomainAdapter(method, bottleneck=8, **SHORT).fit(X, PLACES, X_target=X_TARGET)
    joined = DomainAdapter(method, bottleneck=8, **SHORT).fit(*given, sample_domain=domains[order])
    assert joined.classes_.tolist() == [0, 1, 2]
    assert joined.score(X_TARGET, TARGET_PLACES) == pytest.approx(apart.score(X_TARGET, TARGET_PLACES), abs=0.1)
    mixed = joined.transform(both, sample_domain=domains)
    np.testing.assert_allclose(mixed[90:], joined.transform(X_TARGET))
    assert np.mean(joined.predict(both, sample_domain=domains)[:90] == PLACES) > 0.9


def test_labels_of_the_target_are_never_read():
    both, domains = np.concatenate([X, X_TARGET]), np.repeat([1, -1], 90)
    fitted = [
        DomainAdapter("mcc", bottleneck=8, **SHORT).fit(both, np.concatenate([PLACES, told]), sample_domain=domains)
        for told in (np.full(90, -1), TARGET_PLACES)
    ]
    np.testing.assert_array_equal(*[each.predict_proba(X_TARGET) for each in fitted])


def test_several_sources_have_numbers_of_their_own():
    both = np.concatenate([X, X + 1, X_TARGET])
    domains = np.repeat([1, 2, -3], 90)
    adapter = DomainAdapter("m3sda", bottleneck=8, **SHORT).fit(both, np.tile(PLACES, 3), sample_domain=domains)
    assert adapter.score(X_TARGET, TARGET_PLACES) > 0.7


def test_a_pipeline_prepares_both_domains():
    both, domains = np.concatenate([X, X_TARGET]), np.repeat([1, -1], 90)
    labels = np.concatenate([PLACES, np.full(90, -1)])
    pipeline = make_pipeline(StandardScaler(), DomainAdapter("coral"))
    pipeline.fit(both, labels, domainadapter__sample_domain=domains)
    assert pipeline.score(X_TARGET, TARGET_PLACES) > 0.9


def test_aligned_features_go_into_another_classifier():
    adapter = DomainAdapter("linear_ot")
    classifier = LogisticRegression().fit(adapter.fit_transform(X, Y, X_target=X_TARGET), Y)
    assert classifier.score(adapter.transform(X_TARGET), Y_TARGET) > 0.9


@pytest.mark.parametrize("score", ["information", "class_cluster", "dev", "mmd"])
def test_a_search_by_a_label_free_score(score):
    search = GridSearchCV(
        DomainAdapter("coral"),
        {"method": ["unaligned", "linear_ot"]},
        scoring=label_free_scorer(score, X_TARGET),
        cv=3,
        error_score="raise",
    )
    search.fit(X, Y, X_target=Whole(X_TARGET))  # as many rows as X, which would be cut along with it
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    if score == "information":
        assert search.best_params_ == {"method": "linear_ot"}


def test_whole_targets_are_not_cut():
    seen = []

    class Watched(DomainAdapter):
        def _sides(self, X, y, X_target, sample_domain):
            seen.append((len(X), len(X_target)))
            return super()._sides(X, y, X_target, sample_domain)

    cross_validate(Watched("coral"), X, Y, params={"X_target": Whole(X_TARGET)}, cv=3, error_score="raise")
    assert seen == [(60, 90)] * 3


ESTIMATORS = {
    "adapter": (lambda: DomainAdapter("mcc", bottleneck=8, **SHORT), {"X_target": X_TARGET}),
    "transform": (lambda: DomainAdapter("coral"), {"X_target": X_TARGET}),
    "tuner": (lambda: FineTuner("full", "mlp", backbone_settings={"num_inputs": 6, "hidden": [8]}, **SHORT), {}),
    "few": (lambda: FewShotClassifier("simpleshot"), {}),
    "zero": (lambda: ZeroShotClassifier("eszsl", "one-hot"), {}),
    "multitask": (lambda: MultitaskModel(hidden=8, **SHORT), {}),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_clones_pickles_and_seeds(name):
    make, further = ESTIMATORS[name]
    estimator = make()
    state = torch.get_rng_state()
    fitted = clone(estimator).fit(X, Y, **further)
    assert torch.equal(torch.get_rng_state(), state), "the fit leaves a trace in the global generator"
    again = estimator.fit(X, Y, **further)
    np.testing.assert_array_equal(fitted.predict(X_TARGET), again.predict(X_TARGET))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X_TARGET), again.predict(X_TARGET))


def test_tables_have_names_that_are_checked():
    table = pd.DataFrame(X, columns=list("abcdef"), index=RANDOM.permutation(90))
    target = pd.DataFrame(X_TARGET, columns=list("abcdef"))
    adapter = DomainAdapter("coral").fit(table, pd.Series(Y, index=table.index), X_target=target)
    assert adapter.feature_names_in_.tolist() == list("abcdef")
    assert set(adapter.predict(target)) == set(NAMES)
    with pytest.raises(ValueError, match="feature names"):
        adapter.predict(target.rename(columns={"a": "z"}))


def test_a_fitted_module_goes_on_without_the_estimator(tmp_path):
    adapter = DomainAdapter("mcc", bottleneck=8, **SHORT).fit(X, Y, X_target=X_TARGET)
    loaded = tlzoo.load(adapter.module_.save(tmp_path / "module"))
    assert loaded.predict(X_TARGET).names == adapter.predict(X_TARGET).tolist()


def test_few_shots_of_unequal_number_and_base_statistics():
    rows = [0, 1, 2, 3, 4]  # cat and dog twice, owl once
    base, base_labels = drawn(60, classes=5, first=3)
    for method in ("simpleshot", "tim", "protonet"):
        model = FewShotClassifier(method).fit(X[rows], Y[rows], X_base=base)
        assert model.score(X, Y) > 0.8
    trained = FewShotClassifier("relation_net", steps=20, query=3, random_state=0)
    trained.fit(X[rows], Y[rows], base, base_labels)
    assert trained.predict(X).shape == (90,)
    with pytest.raises(ValueError, match="that it learns from episodes of base classes"):
        FewShotClassifier("relation_net").fit(X[rows], Y[rows])


def test_classes_without_examples():
    X_seen, places = drawn(160, classes=8)
    seen = places < 6
    embeddings = pd.DataFrame(CENTERS, index=[f"kind{place}" for place in range(8)])
    labels = np.array([f"kind{place}" for place in places])
    unseen = ZeroShotClassifier("eszsl", embeddings, candidates="unseen").fit(X_seen[seen], labels[seen])
    assert unseen.classes_.tolist() == ["kind6", "kind7"]
    assert unseen.score(X_seen[~seen], labels[~seen]) > 0.9
    among_all = ZeroShotClassifier("eszsl", embeddings).fit(X_seen[seen], labels[seen])
    assert among_all.classes_.shape == (8,)
    trained = ZeroShotClassifier("bilinear_softmax", embeddings, **{**SHORT, "candidates": "unseen"})
    assert trained.fit(X_seen[seen], labels[seen]).score(X_seen[~seen], labels[~seen]) > 0.6
    with pytest.raises(ValueError, match="nothing or too much describes the classes"):
        ZeroShotClassifier().fit(X_seen, labels)
    with pytest.raises(ValueError, match="class 'kind7' of y has no description"):
        ZeroShotClassifier("eszsl", embeddings.iloc[:7]).fit(X_seen, labels)
    with pytest.raises(ValueError, match="candidates: 'dog' is not described"):
        ZeroShotClassifier("eszsl", embeddings, candidates=["dog"]).fit(X_seen, labels)
    with pytest.raises(ValueError, match="every described class occurs in y"):
        ZeroShotClassifier("eszsl", embeddings, candidates="unseen").fit(X_seen, labels)
    with pytest.raises(TypeError, match="expected a mapping from class to vector"):
        ZeroShotClassifier("eszsl", CENTERS).fit(X_seen, labels)


def test_several_targets_with_kinds_inferred_and_missing_labels():
    heights = 3 * X[:, 0] + 100
    heights[::7] = np.nan
    kinds = Y.astype(object)
    kinds[::5] = None
    targets = pd.DataFrame({"kind": kinds, "height": heights, "stage": PLACES})
    settings = {**SHORT, "steps": 150}
    model = MultitaskModel("uncertainty", kinds={"stage": "ordinal"}, **settings).fit(X, targets)
    said = model.predict(X)
    assert said.columns.tolist() == ["kind", "height", "stage"]
    assert np.mean(said["kind"] == Y) > 0.9
    assert np.abs(said["height"] - (3 * X[:, 0] + 100)).mean() < 3
    assert np.mean(said["stage"] == PLACES) > 0.6
    assert model.class_probabilities(X)["kind"].shape == (90, 3)
    assert model.score(X, targets) > 0.7
    with pytest.raises(ValueError, match="kinds names 'stge'"):
        MultitaskModel(kinds={"stge": "ordinal"}).fit(X, targets)
    with pytest.raises(ValueError, match="'kind' has no label"):
        MultitaskModel().fit(X, {"kind": [None] * 90})


def test_forms_of_targets_come_back():
    table = np.column_stack([X[:, 0], X[:, 1]])
    settings = {**SHORT, "steps": 2}
    assert MultitaskModel(**settings).fit(X, table).predict(X).shape == (90, 2)
    assert set(MultitaskModel(**settings).fit(X, {"a": Y}).predict(X)) == {"a"}
    assert MultitaskModel(**settings).fit(X, Y).predict(X).shape == (90,)


def test_pictures_and_texts_with_a_network():
    pictures = RANDOM.integers(0, 60, (24, 28, 28, 1), dtype=np.uint8)
    labels = np.arange(24) % 2
    pictures[labels == 1] += 150
    settings = {**SHORT, "steps": 10}
    tuner = FineTuner("full", "lenet", **settings).fit(pictures, labels)
    assert tuner.score(pictures, labels) > 0.9
    adapter = DomainAdapter("dann", "lenet", bottleneck=8, **settings).fit(pictures, labels, X_target=pictures)
    assert adapter.predict(list(pictures[:3])).shape == (3,)
    with pytest.raises(ValueError, match="X holds features; the fit had image"):
        tuner.predict(X)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="DomainAdapter never sees; use FineTuner"):
        DomainAdapter("target_only").fit(X, Y, X_target=X_TARGET)
    with pytest.raises(ValueError, match="oneshot/protonet is a method for OneShot"):
        DomainAdapter("protonet").fit(X, Y, X_target=X_TARGET)
    with pytest.raises(ValueError, match="X holds texts; name an encoder"):
        DomainAdapter("coral").fit(["a text"] * len(Y), Y, X_target=["another"] * 9)
    with pytest.warns(UserWarning, match="no target: the source takes its place"):
        DomainAdapter("coral").fit(X, Y)
    with pytest.raises(ValueError, match="both name the target"):
        DomainAdapter("coral").fit(X, Y, X_target=X, sample_domain=np.ones(90))
    with pytest.raises(ValueError, match="no row of the target"):
        DomainAdapter("coral").fit(X, Y, sample_domain=np.ones(90))
    with pytest.raises(ValueError, match="positive for a source"):
        DomainAdapter("coral").fit(X, Y, sample_domain=np.zeros(90))
    with pytest.raises(ValueError, match="did you mean"):
        label_free_scorer("informaton", X_TARGET)
    with pytest.raises(ValueError, match="2 features"):
        DomainAdapter("coral").fit(X, Y, X_target=X_TARGET[:, :2])


@pytest.mark.parametrize("steps", [0, -1, "many", 2.5])
def test_a_number_of_steps_is_one_or_more(steps):
    with pytest.raises(ValueError, match=f"^steps {steps!r}; expected at least 1, an integer$"):
        DomainAdapter("dan", bottleneck=4, steps=steps).fit(X, Y, X_target=X_TARGET)


QUIET = """
import numpy as np
from tlzoo.estimators import DomainAdapter
X = np.random.default_rng(0).normal(size=(40, 4)); y = np.arange(40) % 2
DomainAdapter("dan", bottleneck=4, steps=3).fit(X, y, X_target=X + 1).predict(X)
"""


def test_a_fit_prints_and_writes_nothing(tmp_path):
    environment = {**os.environ, "PYTHONWARNINGS": "error::UserWarning:tlzoo"}
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "GPU" not in done.stderr
    assert "max_steps" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_warnings_of_others_are_left_alone():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        DomainAdapter("dan", bottleneck=4, **{**SHORT, "steps": 2}).fit(X, Y, X_target=X_TARGET)
        warnings.warn("mine", stacklevel=1)
    assert [str(each.message) for each in caught] == ["mine"]
