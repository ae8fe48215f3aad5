"""Every figure against scikit-learn's, SciPy's or its definition, whole and in parts."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from sklearn import metrics as sklearn
from torch.nn import functional as F

from tlzoo.data.tasks import Target
from tlzoo.scoring import CLASS_FIGURES, ClassScores, EpisodeScores, MultitaskScores, ZeroShotScores, scorer

CLASSES = 5
RNG = np.random.default_rng(0)
absent = pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning:sklearn")


def drawn(count=60, labels=(0, 1, 2, 4)):
    """Return scores and labels; class 3 is answered, but has no example."""
    labels = RNG.choice(labels, size=count)
    logits = RNG.normal(size=(count, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    assert 3 in logits.argmax(axis=1)
    return torch.from_numpy(logits), torch.from_numpy(labels)


def in_parts(scores, *whole):
    """Return the figures of answers that come in unequal batches, one of them empty."""
    for part in (slice(0, 7), slice(7, 7), slice(7, None)):
        scores.update(*(each[part] for each in whole))
    return scores.compute()


@absent
def test_classes():
    logits, labels = drawn()
    answers = logits.argmax(dim=1)
    found = in_parts(ClassScores(CLASSES), logits, labels)
    assert found == {
        "accuracy": pytest.approx(sklearn.accuracy_score(labels, answers)),
        "balanced_accuracy": pytest.approx(sklearn.balanced_accuracy_score(labels, answers)),
        "macro_accuracy": pytest.approx(sklearn.recall_score(labels, answers, average="macro", zero_division=0)),
        "macro_f1": pytest.approx(sklearn.f1_score(labels, answers, average="macro", zero_division=0)),
    }
    assert found["macro_accuracy"] < found["balanced_accuracy"]
    assert set(found) == set(CLASS_FIGURES)


def test_counts_and_confusion_of_classes():
    logits, labels = drawn()
    scores = ClassScores(CLASSES)
    scores.update(logits, labels)
    tables = scores.tables()
    expected = sklearn.confusion_matrix(labels, logits.argmax(dim=1), labels=range(CLASSES))
    np.testing.assert_array_equal(tables["confusion"], expected)
    classes, examples, right, answered = tables["counts"].T
    np.testing.assert_array_equal(classes, np.arange(CLASSES))
    np.testing.assert_array_equal(examples, expected.sum(axis=1))
    np.testing.assert_array_equal(right, np.diag(expected))
    np.testing.assert_array_equal(answered, expected.sum(axis=0))


def test_many_classes_keep_counts_of_those_that_occur_alone():
    scores = ClassScores(1000)
    scores.update(F.one_hot(torch.tensor([7, 9, 9]), 1000).float(), torch.tensor([7, 7, 9]))
    assert scores.tables().keys() == {"counts"}
    assert scores.tables()["counts"].tolist() == [[7, 2, 1, 1], [9, 1, 1, 2]]


def test_labels_that_are_missing_or_wrong():
    logits = torch.eye(3)
    assert ClassScores(3).of(logits, torch.tensor([0, -1, 0]))["accuracy"] == 0.5
    assert all(map(math.isnan, ClassScores(3).of(logits, torch.full((3,), -1)).values()))
    with pytest.raises(ValueError, match="3 in row 2; expected 0 to 2 for 3 classes"):
        ClassScores(3).update(logits, torch.tensor([0, 1, 3]))
    with pytest.raises(ValueError, match=r"scores of shape \(3, 3\); expected \(N, 4\)"):
        ClassScores(4).update(logits, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="unknown metric 'acuracy'"):
        ClassScores(3, metric="acuracy")


@pytest.mark.parametrize("metric", CLASS_FIGURES)
@absent
def test_the_headline_of_each_group(metric):
    logits, labels = drawn()
    groups = torch.arange(60) % 2
    found = ClassScores(CLASSES, metric=metric, groups=("near", "far")).of(logits, labels, groups)
    for place, name in enumerate(("near", "far")):
        assert found[name] == ClassScores(CLASSES).of(logits[groups == place], labels[groups == place])[metric]
    assert found[metric] == ClassScores(CLASSES).of(logits, labels)[metric]


def test_open_set_figures():
    labels = torch.tensor([0] * 15 + [1] * 15 + [2] * 15)
    answers = torch.tensor([0] * 15 + [0] * 15 + [2] * 10 + [0] * 5)
    found = ClassScores(3, unknown=2).of(F.one_hot(answers, 3).float(), labels)
    assert {name: found[name] for name in ("os_star", "unknown", "h_score")} == pytest.approx(
        {"os_star": 0.5, "unknown": 2 / 3, "h_score": 4 / 7}
    )
    never = ClassScores(3, unknown=2).of(F.one_hot(torch.zeros_like(labels), 3).float(), labels)
    assert never["h_score"] == 0


def test_values():
    answers, labels = torch.from_numpy(RNG.normal(size=(60, 1)) + 100), torch.from_numpy(RNG.normal(size=60) + 100)
    labels[::9] = torch.nan
    known = ~labels.isnan()
    found = in_parts(scorer(Target(classes=0)), answers, labels)
    given = labels[known], answers[known, 0]
    assert found == pytest.approx(
        {
            "mse": sklearn.mean_squared_error(*given),
            "mae": sklearn.mean_absolute_error(*given),
            "r2": sklearn.r2_score(*given),
        },
        rel=1e-4,  # about values of 100 in float32
    )


def test_ordered_classes():
    labels = torch.from_numpy(RNG.integers(0, 4, size=60))
    ranks = (labels + torch.from_numpy(RNG.integers(-1, 2, size=60))).clamp(0, 3)
    output = (ranks[:, None] > torch.arange(3)).float() - 0.5
    found = in_parts(scorer(Target(classes=4, kind="ordinal")), output, labels)
    assert found == pytest.approx(
        {
            "accuracy": sklearn.accuracy_score(labels, ranks),
            "mae": sklearn.mean_absolute_error(labels, ranks),
            "kendall_tau": kendalltau(labels, ranks).statistic,
        }
    )
    alike = scorer(Target(classes=4, kind="ordinal")).of(torch.ones(60, 3), labels)
    assert alike["kendall_tau"] == 0


def test_dense_classes():
    logits = torch.from_numpy(RNG.normal(size=(10, 3, 4, 4))).float()
    labels = torch.from_numpy(RNG.integers(-1, 3, size=(10, 8, 8)))
    answers = F.interpolate(logits, (8, 8), mode="bilinear", align_corners=False).argmax(dim=1)
    given = labels[labels >= 0], answers[labels >= 0]
    found = in_parts(scorer(Target(classes=3, kind="dense")), logits, labels)
    assert found["pixel_accuracy"] == pytest.approx(sklearn.accuracy_score(*given))
    assert found["miou"] == pytest.approx(sklearn.jaccard_score(*given, average="macro"))


def test_dense_values():
    output = torch.from_numpy(RNG.normal(size=(10, 1, 4, 4))).float() + 50
    labels = torch.from_numpy(RNG.normal(size=(10, 4, 4))).float() + 50
    labels[0], labels[1, :2], labels[2, 0, 0] = torch.nan, torch.nan, 0
    known = ~labels.isnan()
    given = labels[known], output[:, 0][known]
    found = in_parts(scorer(Target(classes=0, kind="dense")), output, labels)
    assert found["absolute_error"] == pytest.approx(sklearn.mean_absolute_error(*given), rel=1e-5)
    assert found["r2"] == pytest.approx(sklearn.r2_score(*given), rel=1e-4)
    positive = labels[known] > 0
    relative = sklearn.mean_absolute_percentage_error(given[0][positive], given[1][positive])
    assert found["relative_error"] == pytest.approx(relative, rel=1e-5)


def test_normals():
    labels = F.normalize(torch.from_numpy(RNG.normal(size=(10, 3, 6, 6))).float(), dim=1)
    output = 7 * (labels + 0.4 * torch.from_numpy(RNG.normal(size=(10, 3, 6, 6))).float())
    labels[0], labels[1, :, :3] = torch.nan, 0
    known = labels.nan_to_num().norm(dim=1) > 0
    cosines = F.cosine_similarity(output, labels.nan_to_num(), dim=1)[known].double()
    angles = cosines.clamp(-1, 1).arccos().rad2deg()
    found = in_parts(scorer(Target(classes=0, kind="normals")), output, labels)
    assert found["mean_angle"] == pytest.approx(float(angles.mean()), rel=1e-4)
    assert found["median_angle"] == pytest.approx(float(angles.quantile(0.5, interpolation="lower")), abs=0.01)
    for threshold in (11.25, 22.5, 30):
        assert found[f"within_{threshold:g}"] == pytest.approx(float((angles < threshold).double().mean()))
    assert found["cosine"] == pytest.approx(float(cosines.mean()), rel=1e-5)
    exact = scorer(Target(classes=0, kind="normals")).of(labels, labels)
    assert exact["mean_angle"] < 1e-3  # arccos in float32 would leave hundredths


def test_several_targets():
    targets = {"values": Target(classes=3), "age.group": Target(classes=0), "none": Target(classes=2)}
    logits, ages = torch.eye(3)[[0, 1, 1, 2]], torch.tensor([[1.0], [2.0], [3.0], [9.0]])
    labels = {"values": torch.tensor([0, 1, 2, -1]), "age.group": torch.tensor([1.0, 2.0, 4.0, torch.nan])}
    outputs = {"values": logits, "age.group": ages, "none": torch.zeros(4, 2)}
    scores = MultitaskScores(targets)
    scores.update(outputs, {**labels, "none": torch.full((4,), -1)})
    found = scores.compute()
    assert found["values"] == found["values/accuracy"] == pytest.approx(2 / 3)
    assert found["age.group"] == found["age.group/r2"]
    assert found["age.group/mae"] == pytest.approx(1 / 3)
    assert math.isnan(found["none"])
    assert found["score"] == pytest.approx((found["values"] + found["age.group"]) / 2)
    assert MultitaskScores({"one": Target(classes=2)}).headline == "accuracy"
    scores.reset()
    scores.update(outputs, {"values": torch.tensor([0, -1, -1, -1])})  # the others are left out
    assert scores.compute() == {**scores.compute(), "score": 1.0, "values": 1.0}
    assert "none" not in scores.compute()


def test_episodes():
    labels = torch.from_numpy(RNG.integers(0, 3, size=(20, 9)))
    logits = torch.from_numpy(RNG.normal(size=(20, 9, 3))) + F.one_hot(labels, 3)
    scores = EpisodeScores()
    found = in_parts(scores, logits, labels)
    accuracies = [sklearn.accuracy_score(*pair) for pair in zip(labels, logits.argmax(dim=-1), strict=True)]
    np.testing.assert_allclose(scores.by_episode(), accuracies)
    assert found["accuracy"] == pytest.approx(np.mean(accuracies))
    assert found["error"] == pytest.approx(1 - np.mean(accuracies))
    assert found["interval"] == pytest.approx(1.96 * np.std(accuracies, ddof=1) / math.sqrt(20))
    assert math.isnan(EpisodeScores().of(logits[:1], labels[:1])["interval"])


@absent
def test_zeroshot():
    logits, labels = drawn(120, labels=range(CLASSES))
    seen = np.array([True, True, False, False, False])
    found = in_parts(ZeroShotScores(seen), logits, labels)
    unseen = ~seen[labels]
    asked, answers = labels[unseen], logits.argmax(dim=1)
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(asked, answers[unseen]))
    assert found["per_class"] == found["balanced_accuracy"] == found["unseen"]
    assert found["per_class"] == pytest.approx(sklearn.balanced_accuracy_score(asked, answers[unseen]))
    assert found["seen"] == pytest.approx(sklearn.balanced_accuracy_score(labels[~unseen], answers[~unseen]))
    assert found["harmonic"] == pytest.approx(2 / (1 / found["seen"] + 1 / found["unseen"]))
    assert 0 < found["ausuc"] < 1
    plain = ZeroShotScores(np.ones(CLASSES, dtype=bool)).of(logits, labels)  # none to set them off against
    assert plain["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, answers))
    assert plain["top5"] == 1
    assert "harmonic" not in plain
    six = torch.eye(6)[[0, 1]]
    six[1] = torch.arange(6, 0, -1)
    top = ZeroShotScores(np.zeros(6, dtype=bool)).of(six, torch.tensor([0, 5]))["top5"]
    assert top == sklearn.top_k_accuracy_score([0, 5], six, k=5, labels=range(6)) == 0.5


def test_intervals_count_classes_or_examples():
    right, labels = np.array([1, 1, 1, 0, 0, 0], dtype=bool), torch.tensor([0, 0, 0, 1, 1, 1])
    logits = F.one_hot(labels.where(torch.from_numpy(right), 2), 3).float()
    seen = np.zeros(3, dtype=bool)
    by_example = ZeroShotScores(seen, by_class=False).of(logits, labels)["interval"]
    by_class = ZeroShotScores(seen).of(logits, labels)["interval"]
    assert by_example == pytest.approx(1.96 * np.std(right, ddof=1) / np.sqrt(6))
    assert by_class == pytest.approx(1.96 * np.std([1, 0], ddof=1) / np.sqrt(2))
    assert math.isnan(ZeroShotScores(seen).of(logits[:3], labels[:3])["interval"])


def test_something_else_has_nothing_to_score():
    with pytest.raises(TypeError, match="cannot score int; expected a task or a Target"):
        scorer(3)


def test_half_precision_scores_are_taken():
    logits, labels = drawn(30)
    for scores in (ClassScores(CLASSES), ZeroShotScores(np.zeros(CLASSES, dtype=bool))):
        assert 0 < scores.of(logits.bfloat16(), labels)["accuracy"] < 1
