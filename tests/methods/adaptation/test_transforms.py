"""Transforms of frozen features: what their papers promise, and the same in NumPy."""

import numpy as np
import ot
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tlzoo.functional import covariance, standardization, symmetric_power
from tlzoo.methods.adaptation import CORAL, LinearOT, Standardization, SubspaceAlignment, Unaligned
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.nn.logistic import LogisticClassifier

D, C = 5, 3


def domain(rows, seed, *, width=D):
    """Return correlated features with a mean of their own."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    place = torch.randn(width, generator=generator, dtype=torch.float64)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) @ mixing + 3 * place


SOURCE, TARGET = domain(40, 0), domain(30, 1)


def standardized(features):
    features = features.numpy()
    return (features - features.mean(axis=0)) / features.std(axis=0)


def power(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**exponent) @ vectors.T


def test_coral_gives_the_source_the_covariance_of_the_target():
    coral = CORAL(D, C, regularization=0.0).double().fit(SOURCE, TARGET)
    aligned, target = coral.transform_source(SOURCE), coral.transform_target(TARGET)
    torch.testing.assert_close(covariance(aligned), covariance(target), rtol=1e-10, atol=1e-10)
    for features in (aligned, target):
        torch.testing.assert_close(features.mean(dim=0), torch.zeros(D).double(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("rows", [30, 4])
@pytest.mark.verdict("adaptation/coral", against="the paper's four lines", within=1e-12)
def test_coral_is_the_four_lines_of_its_paper(rows, equal):
    target = TARGET[:rows]  # fewer than dimensions, too
    coral = CORAL(D, C).double().fit(SOURCE, target)
    ours, theirs = standardized(SOURCE), standardized(target)
    c_s, c_t = np.cov(ours.T) + np.eye(D), np.cov(theirs.T) + np.eye(D)
    expected = ours @ power(c_s, -0.5) @ power(c_t, 0.5)
    equal(coral.transform_source(SOURCE).numpy(), expected)
    equal(coral.transform_target(target).numpy(), theirs)


@pytest.mark.verdict("adaptation/standardization", against="moments of each domain", within=1e-12)
def test_standardization_is_of_each_domain_by_itself(equal):
    method = Standardization(D, C).double().fit(SOURCE, TARGET)
    equal(method.transform_source(SOURCE).numpy(), standardized(SOURCE))
    equal(method.transform_target(TARGET).numpy(), standardized(TARGET))
    equal(method.transform_target(SOURCE).numpy(), (SOURCE - TARGET.mean(dim=0)) / TARGET.std(dim=0, correction=0))


@pytest.mark.verdict("adaptation/linear_ot", against="mean and covariance of the target", within=1e-12)
def test_linear_transport_maps_mean_and_covariance(equal):
    method = LinearOT(D, C, regularization=0.0).double().fit(SOURCE, TARGET)
    moved, target = method.transform_source(SOURCE), method.transform_target(TARGET)
    equal(moved.mean(dim=0), target.mean(dim=0))
    equal(covariance(moved), covariance(target))
    equal(target.numpy(), standardized(TARGET))


def test_linear_transport_is_the_map_that_moves_least():
    """A positive definite matrix is the gradient of a convex function: by Brenier's theorem no other map costs less."""
    method = LinearOT(D, C, regularization=0.0).double().fit(SOURCE, TARGET)
    torch.testing.assert_close(method.map, method.map.T, rtol=1e-8, atol=1e-8)
    assert torch.linalg.eigvalsh(method.map)[0] > 0
    moved = method.transform_source(SOURCE) * method.target_deviation + method.target_mean
    distance = ot.gaussian.bures_wasserstein_distance(
        *(x.mean(dim=0).numpy() for x in (SOURCE, TARGET)), *(covariance(x).numpy() for x in (SOURCE, TARGET))
    )
    pairs = (moved - SOURCE - (moved - SOURCE).mean(dim=0)).square().sum() / (len(SOURCE) - 1)
    place = (TARGET.mean(dim=0) - SOURCE.mean(dim=0)).square().sum()
    assert float((pairs + place).sqrt()) == pytest.approx(float(distance), rel=1e-8)


def test_linear_transport_undoes_a_change_of_scale_along_principal_directions():
    whitened = (SOURCE - SOURCE.mean(dim=0)) @ symmetric_power(covariance(SOURCE), -0.5)
    target = whitened * torch.tensor([0.5, 1.0, 2.0, 3.0, 4.0]).double() - 7
    method = LinearOT(D, C, regularization=0.0).double().fit(whitened, target)
    torch.testing.assert_close(method.transform_source(whitened), method.transform_target(target), rtol=1e-8, atol=1e-8)


def test_more_dimensions_than_examples():
    source, target = domain(8, 0, width=20), domain(9, 1, width=20)
    method = LinearOT(20, C).double().fit(source, target)
    moved, there = method.transform_source(source), method.transform_target(target)
    torch.testing.assert_close(moved.mean(dim=0), there.mean(dim=0))
    variances = covariance(moved).diagonal().sum(), covariance(there).diagonal().sum()
    assert float(variances[0]) == pytest.approx(float(variances[1]), rel=0.5)


@pytest.mark.verdict("adaptation/subspace_alignment", against="the formula in NumPy", within=1e-12)
def test_subspace_alignment_in_numpy(equal):
    method = SubspaceAlignment(D, C, dimensions=2).double().fit(SOURCE, TARGET)
    ours, theirs = standardized(SOURCE), standardized(TARGET)
    p_s, p_t = (np.linalg.eigh(np.cov(x.T))[1][:, ::-1][:, :2] for x in (ours, theirs))
    source, target = ours @ p_s @ p_s.T @ p_t, theirs @ p_t
    # directions have no sign: inner products between all points do not depend on it
    found = [method.transform_source(SOURCE).numpy(), method.transform_target(TARGET).numpy()]
    for left, right, expected in ((0, 0, source @ source.T), (0, 1, source @ target.T), (1, 1, target @ target.T)):
        equal(found[left] @ found[right].T, expected)


def test_subspace_alignment_of_a_domain_with_itself_keeps_its_coordinates():
    method = SubspaceAlignment(D, C, dimensions=3).double().fit(SOURCE, SOURCE)
    torch.testing.assert_close(method.transform_source(SOURCE), method.transform_target(SOURCE))
    assert method.width == 3
    assert SubspaceAlignment(D, C).width == D


@pytest.mark.parametrize("cls", [Standardization, CORAL, LinearOT, SubspaceAlignment])
def test_before_the_fit(cls):
    with pytest.raises(RuntimeError, match=r"is not known yet; call fit first"):
        cls(D, C).transform_source(SOURCE.float())


@pytest.mark.parametrize(
    ("method", "source", "message"),
    [
        (CORAL(D, C, regularization=0.0), SOURCE[:4], "the matrix is singular"),
        (LinearOT(D, C, regularization=0.0), SOURCE[:4], "LinearOT: the covariance of the source is singular"),
        (LinearOT(D, C), torch.ones(9, D).double(), None),
        (
            SubspaceAlignment(D, C, dimensions=4),
            SOURCE[:4],
            "source features: 4 rows span 3 dimensions and dimensions=4",
        ),
        (CORAL(D, C), SOURCE[:1], "1 and 30 rows; expected 2 or more a side"),
        (CORAL(D, C), SOURCE[:0], r"CORAL: source features of shape \(0, 5\)"),
        (CORAL(D, C), SOURCE[:, :4], "source features have width 4; it was built with num_features=5"),
    ],
)
def test_what_cannot_be_fitted(method, source, message):
    if message is None:  # the variance of the target regularizes both
        assert method.fit(source, TARGET).map.isfinite().all()
        return
    with pytest.raises(ValueError, match=message):
        method.fit(source, TARGET)


def test_without_a_target():
    with pytest.raises(ValueError, match="CORAL aligns source and target, and the target is None"):
        CORAL(D, C).fit(SOURCE, None)
    plain = Unaligned(D, C).double().fit(SOURCE, TARGET)
    expected = (TARGET.numpy() - SOURCE.numpy().mean(axis=0)) / SOURCE.numpy().std(axis=0)
    np.testing.assert_allclose(plain.transform_target(TARGET).numpy(), expected, atol=1e-12)
    assert not any(name.startswith("target") for name, _ in plain.named_buffers())


@pytest.mark.parametrize("settings", [{"regularization": -1.0}])
@pytest.mark.parametrize("cls", [CORAL, LinearOT])
def test_negative_regularization(cls, settings):
    with pytest.raises(ValueError, match="expected a number, at least 0"):
        cls(D, C, **settings)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_classifier_is_that_of_scikit_learn(classes):
    labels = torch.arange(len(SOURCE)) % classes
    features = SOURCE + 2 * labels[:, None]
    ours = LogisticClassifier(D, classes, penalty=0.5).double().fit(features, labels)
    theirs = LogisticRegression(C=2.0, tol=1e-6, max_iter=1000).fit(features.numpy(), labels.numpy())
    expected = theirs.predict_proba(TARGET.numpy())
    np.testing.assert_allclose(ours(TARGET).softmax(dim=1).numpy(), expected, atol=1e-8)


def test_a_class_without_examples_is_not_answered():
    labels = torch.tensor([0, 2]).repeat(20)
    model = AlignedClassifier(Unaligned(D, 4)).fit(SOURCE.float(), labels, None)
    logits = model(100 * TARGET.float())
    assert set(logits.argmax(dim=1).tolist()) <= {0, 2}
    assert logits.isfinite().all()


def test_labelled_target_examples_teach_the_classifier():
    labels = torch.arange(len(SOURCE)) % 2
    shots = TARGET[:2].repeat(20, 1), torch.full((40,), 2)
    model = AlignedClassifier(CORAL(D, C)).double()
    assert 2 not in model.fit(SOURCE, labels, TARGET)(TARGET).argmax(dim=1)
    assert model.fit(SOURCE, labels, TARGET, shots=shots)(TARGET[:2]).argmax(dim=1).tolist() == [2, 2]


def test_labels_that_make_no_sense():
    for labels in (torch.zeros(40).long(), torch.arange(40), torch.arange(40) % 2 - 1):
        with pytest.raises(ValueError, match=r"labels \[.*expected two classes or more, from 0 to 2"):
            LogisticClassifier(D, C).fit(SOURCE, labels)
    with pytest.raises(RuntimeError, match="call fit first"):
        LogisticClassifier(D, C)(SOURCE.float())
    with pytest.raises(ValueError, match="penalty 0"):
        LogisticClassifier(D, C, penalty=0)


@pytest.mark.parametrize("cls", [Standardization, CORAL, LinearOT, SubspaceAlignment])
def test_alignment_undoes_a_shift_that_the_plain_classifier_falls_for(cls):
    labels = torch.arange(200) % 2
    noise = torch.randn(200, D, generator=torch.Generator().manual_seed(3))
    source = noise + 4 * labels[:, None] * torch.eye(D)[0]
    target = 3 * source + 10
    accuracy = {
        name: (AlignedClassifier(kind(D, 2)).fit(source, labels, target)(target).argmax(dim=1) == labels).float().mean()
        for name, kind in (("aligned", cls), ("unaligned", Unaligned))
    }
    assert accuracy["aligned"] > 0.9 > 0.7 > accuracy["unaligned"]


@pytest.mark.parametrize("method", [Standardization, CORAL, LinearOT])
def test_a_dead_dimension_stays_dead(method):
    source, target = domain(40, 0), domain(30, 1)
    for features in (source, target):
        features[:, 4] *= 1e-33  # what some pretrained encoders leave: noise far below the rounding of the others
    fitted = method(D, C).double().fit(source, target)
    for aligned in (fitted.transform_source(source), fitted.transform_target(target)):
        assert aligned[:, 4].abs().max() < 1e-6
        assert aligned[:, :4].std(dim=0).min() > 0.1


def test_standardization_leaves_a_constant_alone():
    features = torch.full((7, 1), 0.1)  # no binary number: its mean is rounded
    mean, deviation = standardization(features)
    assert ((features - mean) / deviation).abs().max() < 1e-6


def test_checkpoint_holds_transform_and_classifier():
    labels = torch.arange(len(SOURCE)) % C
    model = AlignedClassifier(CORAL(D, C)).double().fit(SOURCE, labels, TARGET)
    other = AlignedClassifier(CORAL(D, C)).double()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(TARGET), model(TARGET))
