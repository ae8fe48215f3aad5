"""Methods on arrays of features against their papers' formulas, written out, and against other solvers."""

import numpy as np
import ot
import pytest
import scipy.linalg
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.svm import SVC

from tlzoo.functional import sinkhorn_plan
from tlzoo.methods.adaptation import (
    BDA,
    GFK,
    JDA,
    JDOT,
    KLIEP,
    KMM,
    TCA,
    TJM,
    DensityReweighting,
    DiscriminatorReweighting,
    NearestNeighborReweighting,
    OTLabelPropagation,
    OTMapping,
    Standardization,
)
from tlzoo.methods.adaptation.gfk import geodesic_flow_kernel
from tlzoo.methods.adaptation.jdot import RidgeCodes
from tlzoo.methods.adaptation.kliep import fit_ratio
from tlzoo.methods.transforms import AlignedClassifier
from tlzoo.nn import LinearSVM, NearestNeighbor
from tlzoo.nn.feature_classifiers import create_classifier

D, C, N, M = 6, 3, 24, 18


def domain(rows, seed, shift):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % C
    centers = 3 * torch.randn(C, D, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    noise = torch.randn(rows, D, generator=generator, dtype=torch.float64)
    return (centers[labels] + noise) * (1 + 0.3 * shift) + shift, labels


(SOURCE, LABELS), (TARGET, TRUTH) = domain(N, 0, 0.0), domain(M, 1, 1.0)


def rows(features):
    features = features.numpy()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


X = np.concatenate([rows(SOURCE), rows(TARGET)])
H = np.eye(N + M) - 1 / (N + M)
E0 = np.concatenate([np.full(N, 1 / N), np.full(M, -1 / M)])[:, None]


def contrasts(answers, weigh=None):
    columns = []
    for c in range(C):
        column = np.zeros(N + M)
        for labels, sign, start in ((LABELS.numpy(), 1, 0), (answers, -1, N)):
            members = np.flatnonzero(labels == c)
            if len(members):
                column[start + members] = sign * (weigh(labels, c) if weigh else 1.0) / len(members)
        columns.append(column)
    return np.stack(columns, axis=1)


def components(e, *, count, penalty=1.0, kernel="linear", diagonal=None):
    """Return coefficients and mapped rows from the papers' generalized eigenproblem, as it is written."""
    k = X @ X.T if kernel == "linear" else X.T
    m = e @ e.T / np.linalg.norm(e @ e.T)
    penalties = np.eye(len(k)) if diagonal is None else np.diag(diagonal)
    _, vectors = scipy.linalg.eigh(k @ H @ k.T, k @ m @ k.T + penalty * penalties)
    found = vectors[:, ::-1][:, :count]
    mapped = k.T @ found
    return found, mapped / np.linalg.norm(mapped, axis=1, keepdims=True)


def agree(equal, method, expected):
    """Compare inner products, since components have no sign."""
    found = np.concatenate([method.transform_source(SOURCE).numpy(), method.transform_target(TARGET).numpy()])
    equal(found @ found.T, expected @ expected.T)


@pytest.mark.parametrize("kernel", ["linear", "primal"])
@pytest.mark.verdict("adaptation/tca", against="the paper's eigenproblem, by SciPy", within=1e-8)
def test_tca_is_the_generalized_eigenproblem_of_its_paper(kernel, equal):
    method = TCA(D, C, dimensions=3, kernel=kernel, regularization=0.7).double().fit(SOURCE, TARGET)
    agree(equal, method, components(E0, count=3, penalty=0.7, kernel=kernel)[1])


def nearest(mapped):
    return KNeighborsClassifier(1).fit(mapped[:N], LABELS.numpy()).predict(mapped[N:])


@pytest.mark.verdict("adaptation/jda", against="the paper's eigenproblem, by SciPy", within=1e-8)
def test_jda_aligns_domains_and_classes(equal):
    method = JDA(D, C, dimensions=3, rounds=2).double().fit(SOURCE, TARGET, LABELS)
    answers = nearest(components(E0, count=3)[1])
    agree(equal, method, components(np.concatenate([C**0.5 * E0, contrasts(answers)], axis=1), count=3)[1])


@pytest.mark.verdict("adaptation/bda", against="the paper's eigenproblem, by SciPy", within=1e-8)
def test_bda_balances_them(equal):
    settings = {"balance": 0.8, "weighted": True}
    method = BDA(D, C, dimensions=3, rounds=2, **settings).double().fit(SOURCE, TARGET, LABELS)
    classes = contrasts(nearest(components(E0, count=3)[1]), lambda labels, c: np.sqrt(np.mean(labels == c)))
    e = np.concatenate([(0.2 * C) ** 0.5 * E0, 0.8**0.5 * classes], axis=1)
    agree(equal, method, components(e, count=3)[1])
    tca, zero = (kind.double().fit(SOURCE, TARGET, LABELS) for kind in (TCA(D, C), BDA(D, C, balance=0.0)))
    assert torch.allclose(tca.transform_target(TARGET).abs(), zero.transform_target(TARGET).abs(), atol=1e-8)


@pytest.mark.verdict("adaptation/tjm", against="the paper's eigenproblem, by SciPy", within=1e-8)
def test_tjm_penalizes_the_norms_of_source_rows(equal):
    method = TJM(D, C, dimensions=3, rounds=3).double().fit(SOURCE, TARGET)
    diagonal = np.ones(N + M)
    for _ in range(3):
        coefficients, mapped = components(E0, count=3, diagonal=diagonal)
        diagonal[:N] = 1 / np.linalg.norm(coefficients[:N], axis=1)
    agree(equal, method, mapped)


def test_components_beyond_the_rank_are_zero():
    method = TCA(D, C, dimensions=6, standardize=False).double().fit(SOURCE[:2], TARGET[:2])
    assert method.transform_target(TARGET).shape == (M, 6)
    assert (method.map[:, 4:] == 0).all()


@pytest.mark.verdict("adaptation/gfk", against="the integral over subspaces, summed", within=1e-9)
def test_the_geodesic_flow_kernel_is_the_integral_over_subspaces(equal):
    generator = torch.Generator().manual_seed(3)
    start, end = (torch.linalg.qr(torch.randn(D, 2, generator=generator, dtype=torch.float64))[0] for _ in range(2))
    factor = geodesic_flow_kernel(start, end)
    u, cosines, vt = np.linalg.svd((start.T @ end).numpy())
    angles = np.arccos(cosines)
    a, b = start.numpy() @ u, end.numpy() @ vt.T
    b = (b - a * cosines) / np.sin(angles)
    steps = (np.arange(20000) + 0.5) / 20000
    flows = a[:, None] * np.cos(steps[:, None] * angles) + b[:, None] * np.sin(steps[:, None] * angles)
    expected = np.einsum("dtk,etk->de", flows, flows) / len(steps)
    equal((factor @ factor.T).numpy(), expected)


def test_gfk_of_a_domain_with_itself_is_its_projection():
    method = GFK(D, C, dimensions=2).double().fit(SOURCE, SOURCE)
    points = (SOURCE - SOURCE.mean(dim=0)) / SOURCE.std(dim=0, correction=0)
    directions = torch.linalg.svd(points)[2][:2].T
    mapped = method.transform_source(SOURCE)
    torch.testing.assert_close(mapped @ mapped.T, points @ directions @ directions.T @ points.T)


def as_source(features):
    return (features - SOURCE.mean(dim=0)) / SOURCE.std(dim=0, correction=0)


def gaussian(x, y, width):
    return torch.exp(-torch.cdist(x, y).square() / (2 * width**2)).numpy()


@pytest.mark.verdict("adaptation/kmm", against="the optimum of its quadratic program, by SciPy", within=1e-5)
def test_kernel_mean_matching_is_the_quadratic_program_of_its_paper(equal):
    method = KMM(D, C, bandwidth=2.0, bound=3.0, slack=0.1).double().fit(SOURCE, TARGET)
    kernel = gaussian(as_source(SOURCE), as_source(SOURCE), 2.0)
    pull = N * gaussian(as_source(SOURCE), as_source(TARGET), 2.0).mean(axis=1)
    objective = lambda w: 0.5 * w @ kernel @ w - pull @ w  # noqa: E731
    bounds = [{"type": "ineq", "fun": lambda w, s=s: N * 0.1 - s * (w.sum() - N)} for s in (1, -1)]
    solved = minimize(objective, np.ones(N), bounds=[(0, 3)] * N, constraints=bounds, options={"maxiter": 500})
    found = method.weights.numpy() * solved.x.mean()
    assert objective(found) <= objective(solved.x) + 1e-5
    equal(objective(found) / objective(solved.x), 1.0)
    assert method.weights.mean() == pytest.approx(1.0)


@pytest.mark.verdict("adaptation/kliep", against="the largest likelihood, by SciPy", within=1e-4)
def test_kliep_maximizes_the_likelihood_of_the_target(equal):
    method = KLIEP(D, C, bandwidth=2.0).double().fit(SOURCE, TARGET)
    ours, theirs = (gaussian(as_source(side), as_source(TARGET), 2.0) for side in (SOURCE, TARGET))
    likelihood = lambda a: -np.log(theirs @ a).mean()  # noqa: E731
    sums = {"type": "eq", "fun": lambda a: (ours @ a).mean() - 1}
    start = np.full(M, 1 / ours.mean(axis=0).sum())
    solved = minimize(likelihood, start, bounds=[(1e-12, None)] * M, constraints=sums, options={"maxiter": 1000})
    np.testing.assert_allclose(method.weights.numpy(), ours @ solved.x, rtol=0.02, atol=0.02)
    shares = fit_ratio(*(torch.from_numpy(side) for side in (ours, theirs))).numpy()
    assert (ours @ shares).mean() == pytest.approx(1.0)
    equal(likelihood(shares), likelihood(solved.x))
    equal(method.weights.numpy(), ours @ shares)


@pytest.mark.verdict("adaptation/density_reweighting", against="scikit-learn", within=1e-12)
def test_density_ratios_are_those_of_scikit_learn(equal):
    method = DensityReweighting(D, C, bandwidth=0.8).double().fit(SOURCE, TARGET)
    scores = [
        KernelDensity(bandwidth=0.8).fit(as_source(side).numpy()).score_samples(as_source(SOURCE).numpy())
        for side in (TARGET, SOURCE)
    ]
    expected = np.exp(scores[0] - scores[1])
    equal(method.weights.numpy(), expected / expected.mean())


@pytest.mark.verdict("adaptation/discriminator_reweighting", against="scikit-learn's odds", within=1e-12)
def test_discriminator_weights_are_odds(equal):
    method = DiscriminatorReweighting(D, C, penalty=2.0).double().fit(SOURCE, TARGET)
    points = torch.cat([as_source(SOURCE), as_source(TARGET)]).numpy()
    model = LogisticRegression(C=0.5, tol=1e-6, max_iter=1000).fit(points, np.repeat([0, 1], [N, M]))
    expected = np.exp(model.decision_function(points[:N]))
    equal(method.weights.numpy(), expected / expected.mean())


@pytest.mark.verdict("adaptation/nearest_neighbor_reweighting", against="the counts", within=1e-12)
def test_neighbor_weights_count_the_target_in_each_cell(equal):
    squares = torch.cdist(as_source(TARGET), as_source(SOURCE))
    counts = np.bincount(squares.argmin(dim=1).numpy(), minlength=N)
    method = NearestNeighborReweighting(D, C, smoothing=False).double().fit(SOURCE, TARGET)
    equal(method.weights.numpy(), counts * N / M)


def test_weights_need_a_classifier_that_takes_them():
    with pytest.raises(ValueError, match="KMM weights source examples, which this classifier cannot do"):
        AlignedClassifier(KMM(D, C), classifier="nearest_neighbor").fit(SOURCE.float(), LABELS, TARGET.float())


def standardized(features):
    return ((features - features.mean(dim=0)) / features.std(dim=0, correction=0)).numpy()


@pytest.mark.parametrize("plan", ["exact", "entropic"])
@pytest.mark.verdict("adaptation/ot_mapping", against="POT's plans", within=1e-9)
def test_transport_moves_examples_to_the_means_of_pots_plans(plan, equal):
    ours, theirs = standardized(SOURCE), standardized(TARGET)
    cost = ot.dist(ours, theirs)
    cost /= np.sort(cost, axis=None)[(N * M - 1) // 2]
    masses = np.full(N, 1 / N), np.full(M, 1 / M)
    settings = {"stopThr": 1e-12, "numItermax": 9999}
    solved = ot.emd(*masses, cost) if plan == "exact" else ot.sinkhorn(*masses, cost, 0.5, **settings)
    method = OTMapping(D, C, plan=plan, entropy=0.5).double().fit(SOURCE, TARGET)
    equal(method.transform_source(SOURCE).numpy(), N * solved @ theirs)
    equal(method.transform_target(TARGET).numpy(), theirs)
    beside = method.transform_source(SOURCE[:1] + 1e-3) - method.transform_source(SOURCE[:1])
    equal(beside.numpy()[0], 1e-3 / SOURCE.std(dim=0, correction=0))


def test_the_class_penalty_keeps_classes_apart():
    """The share of a target example's mass that its largest class brings grows with the penalty."""
    shares = []
    for penalty in (0.0, 1.0):
        method = OTMapping(D, C, plan="class", entropy=1.0, class_penalty=penalty).double()
        method.fit(SOURCE, TARGET, LABELS)
        images = method.images
        shares.append(float(torch.stack([images[c == LABELS].var(dim=0).sum() for c in range(C)]).mean()))
        if not penalty:
            plain = OTMapping(D, C, entropy=1.0).double().fit(SOURCE, TARGET)
            torch.testing.assert_close(images, plain.images)
    assert shares[1] < shares[0]


def test_an_expensive_plan_does_not_underflow():
    cost = torch.tensor([[0.0, 1e4], [1e4, 0.0]]).double()
    torch.testing.assert_close(sinkhorn_plan(cost, 1.0), torch.eye(2).double() / 2)


@pytest.mark.verdict("adaptation/ot_label_propagation", against="POT's plan", within=1e-12)
def test_labels_travel_with_the_mass(equal):
    method = OTLabelPropagation(D, C).double().fit(SOURCE, TARGET, LABELS)
    ours, theirs = standardized(SOURCE), standardized(TARGET)
    plan = ot.emd(np.full(N, 1 / N), np.full(M, 1 / M), ot.dist(ours, theirs))
    equal(method.probabilities.numpy(), M * plan.T @ np.eye(C)[LABELS.numpy()])
    equal(method.probabilities.sum(dim=1), torch.ones(M).double())


def test_ridge_of_codes_is_the_normal_equation():
    codes = torch.randn(M, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = TARGET - TARGET.mean(dim=0)
    weights = torch.linalg.solve(points.T @ points + 2 * torch.eye(D).double(), points.T @ (codes - codes.mean(dim=0)))
    ridge = RidgeCodes(TARGET, 2.0)
    torch.testing.assert_close(ridge(codes), points @ weights + codes.mean(dim=0))
    torch.testing.assert_close(ridge.size(codes), 2 * weights.square().sum())


@pytest.mark.verdict("adaptation/jdot", against="POT's plans and scikit-learn's ridge, in turn", within=1e-9)
@pytest.mark.parametrize("rounds", [1, 2, 20])
def test_joint_transport_alternates_between_plan_and_ridge(equal, rounds):
    ours, theirs, codes = standardized(SOURCE), standardized(TARGET), np.eye(C)[LABELS.numpy()]
    distances = ot.dist(ours, theirs) / ot.dist(ours, theirs).max()
    answers, objective = None, np.inf
    for _ in range(rounds):
        plan = ot.emd(
            np.full(N, 1 / N), np.full(M, 1 / M), distances + (0 if answers is None else ot.dist(codes, answers))
        )
        ridge = Ridge(alpha=5.0).fit(theirs, M * plan.T @ codes)
        answers = ridge.predict(theirs)
        found = (plan * (distances + ot.dist(codes, answers))).sum() + 5 / M * np.square(ridge.coef_).sum()
        if objective - found <= 1e-8 * found:
            break
        objective = found
    method = JDOT(D, C, penalty=5.0, rounds=rounds).double().fit(SOURCE, TARGET, LABELS)
    equal(method.probabilities.numpy(), M * plan.T @ codes)


def test_joint_transport_corrects_what_features_alone_get_wrong():
    found = {
        kind: float(
            (kind(D, C).double().fit(SOURCE, TARGET, LABELS).probabilities.argmax(dim=1) == TRUTH).double().mean()
        )
        for kind in (OTLabelPropagation, JDOT)
    }
    assert found[JDOT] >= found[OTLabelPropagation] > 0.6


def test_soft_labels_count_by_their_probability():
    method = OTLabelPropagation(D, C, entropy=0.5).double().fit(SOURCE, TARGET, LABELS)
    features, labels, weights = method.training_examples(SOURCE, LABELS, TARGET, weighted=True)
    mapped = method.transform_target(TARGET)
    for row, point in enumerate(mapped):
        own = (features == point).all(dim=1)
        shares = torch.zeros(C).double().index_add_(0, labels[own], weights[own])
        torch.testing.assert_close(shares / shares.sum(), method.probabilities[row], atol=1e-5, rtol=0)
    hard = method.training_examples(SOURCE, LABELS, TARGET, weighted=False)
    assert torch.equal(hard.labels, method.probabilities.argmax(dim=1))
    assert hard.weights is None


@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_are_those_of_scikit_learn(classes):
    labels = torch.arange(N) % classes
    weights = torch.linspace(0.5, 1.5, N).double()
    svm = LinearSVM(D, classes, penalty=0.5).double().fit(SOURCE, labels, weights)
    theirs = SVC(kernel="linear", C=2.0, break_ties=True).fit(SOURCE, labels, sample_weight=weights)
    assert svm(TARGET).argmax(dim=1).tolist() == theirs.predict(TARGET).tolist()
    if classes > 2:
        np.testing.assert_allclose(svm(TARGET).numpy(), theirs.decision_function(TARGET), atol=1e-6)
    nearest = NearestNeighbor(D, classes).double().fit(SOURCE, labels)
    expected = KNeighborsClassifier(1).fit(SOURCE, labels)
    assert nearest(TARGET).argmax(dim=1).tolist() == expected.predict(TARGET).tolist()
    np.testing.assert_allclose(-nearest(TARGET).amax(dim=1), expected.kneighbors(TARGET)[0][:, 0])


@pytest.mark.parametrize("name", ["logistic", "linear_svm", "nearest_neighbor"])
def test_every_classifier_survives_a_checkpoint_and_answers_known_classes_only(name):
    labels = torch.where(torch.arange(N) % 2 == 0, 0, 2)
    models = [AlignedClassifier(Standardization(D, 4), classifier=name).double() for _ in range(2)]
    models[0].fit(SOURCE, labels, TARGET)
    models[1].load_state_dict(models[0].state_dict())
    logits = models[0](TARGET)
    assert torch.equal(models[1](TARGET), logits)
    assert logits.isfinite().all()
    assert set(logits.argmax(dim=1).tolist()) <= {0, 2}
    with pytest.raises(RuntimeError, match="knows no classes yet; call fit first"):
        create_classifier(name, D, 4)(SOURCE.float())


def test_the_penalty_is_chosen_by_cross_validation_on_the_training_examples():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(60, 40, generator=generator, dtype=torch.float64)
    labels = torch.arange(60) % 2
    noise[:, 0] += 2 * labels
    chosen = LinearSVM(40, 2, penalty="cross_validated").double().fit(noise, labels)
    fixed = LinearSVM(40, 2, penalty=1e-3).double().fit(noise, labels)
    assert chosen.weight.norm() < fixed.weight.norm()
    with pytest.raises(ValueError, match="penalty 'best'; expected a number > 0 or 'cross_validated'"):
        LinearSVM(40, 2, penalty="best")


def test_bad_requests_say_what_to_do():
    with pytest.raises(
        ValueError, match=r"JDA learns from source labels and got none; call fit\(source, target, labels\)"
    ):
        JDA(D, C).fit(SOURCE, TARGET)
    with pytest.raises(ValueError, match="JDA: source labels: 3 in rows 0, 1, 2 and 21 more; expected 0 to 2"):
        JDA(D, C).fit(SOURCE, TARGET, torch.full((N,), 3))
    with pytest.raises(ValueError, match="unknown classifier 'svm'"):
        create_classifier("svm", D, C)
