import math

import numpy as np
import pytest
import scipy.optimize
import torch

from tlzoo.functional import otter_shares, seen_unseen_curve
from tlzoo.methods.zeroshot import (
    CSLS,
    ESZSL,
    OTTER,
    SJE,
    CalibratedStacking,
    ClassPrior,
    Cosine,
    InvertedSoftmax,
    Ridge,
)
from tlzoo.registry import create_method
from tlzoo.types import Sees

UNSEEN = torch.zeros(4).bool()


def drawn(count=9, classes=4, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, width, generator=generator, dtype=torch.float64),
        torch.randn(classes, width, generator=generator, dtype=torch.float64),
    )


@pytest.mark.parametrize("neighbors", [1, 3, 50])
@pytest.mark.verdict("zeroshot/csls", against="the formula, item by item", within=1e-12)
def test_csls_against_a_loop(neighbors, equal):
    queries, classes = drawn()
    plain = Cosine().bind(classes, seen=UNSEEN)(queries).tolist()
    found = CSLS(base="cosine", neighbors=neighbors).bind(classes, seen=UNSEEN)(queries)

    def mean_of_best(values):
        best = sorted(values, reverse=True)[:neighbors]
        return sum(best) / len(best)

    for i in range(9):
        for c in range(4):
            expected = 2 * plain[i][c] - mean_of_best(plain[i]) - mean_of_best([row[c] for row in plain])
            equal(found[i, c].item(), expected)


@pytest.mark.verdict("zeroshot/inverted_softmax", against="the formula, item by item", within=1e-12)
def test_inverted_softmax_against_a_loop(equal):
    queries, classes = drawn()
    plain = Cosine().bind(classes, seen=UNSEEN)(queries).tolist()
    found = InvertedSoftmax(base="cosine", scale=3.0).bind(classes, seen=UNSEEN)(queries)
    for i in range(9):
        for c in range(4):
            total = sum(math.exp(3 * plain[j][c]) for j in range(9))
            equal(found[i, c].item(), math.log(math.exp(3 * plain[i][c]) / total))


@pytest.mark.parametrize("prior", ["equal", (1.0, 5.0, 2.0, 3.0)])
@pytest.mark.verdict("zeroshot/otter", against="the linear program, by SciPy", within=1e-9)
def test_otter_against_a_linear_program(prior, equal):
    queries, classes = drawn(count=11)
    shares = np.full(4, 0.25) if prior == "equal" else np.array(prior) / sum(prior)
    method = OTTER(base="cosine", prior=prior)
    p = (method.scale * Cosine().bind(classes, seen=UNSEEN)(queries)).softmax(dim=1)
    rows = np.kron(np.eye(11), np.ones(4))
    columns = np.kron(np.ones(11), np.eye(4))
    found = scipy.optimize.linprog(
        -p.log().numpy().ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([np.full(11, 1 / 11), shares])
    )
    plan = found.x.reshape(11, 4)
    equal(otter_shares(p.log(), torch.from_numpy(shares)), torch.from_numpy(11 * plan))
    answers = method.bind(classes, seen=UNSEEN)(queries)
    mixed = (torch.from_numpy(11 * plan) + 1e-6 * p) / (1 + 1e-6)
    assert answers.exp().numpy() == pytest.approx(mixed.numpy(), abs=1e-7)
    cold = OTTER(base="cosine", prior=prior, scale=3.0).bind(classes, seen=UNSEEN)(queries)
    assert torch.equal(cold.argmax(dim=1), answers.argmax(dim=1))


def test_otter_answers_as_the_best_assignment_where_each_class_has_one_item():
    queries, classes = drawn(count=4)
    scores = Cosine().bind(classes, seen=UNSEEN)(queries)
    _, best = scipy.optimize.linear_sum_assignment(-scores.numpy())
    assert OTTER(base="cosine").bind(classes, seen=UNSEEN)(queries).argmax(dim=1).tolist() == best.tolist()
    assert scores.argmax(dim=1).tolist() != best.tolist()


def test_shares_of_nothing_are_refused():
    for scores, prior in ((torch.zeros(0, 2), [1.0, 1]), (torch.zeros(3, 2), [1.0]), (torch.zeros(3, 2), [1.0, 0])):
        with pytest.raises(ValueError, match="expected items, and one for each class, above 0"):
            otter_shares(scores, torch.tensor(prior))


@pytest.mark.parametrize("cls", [CSLS, InvertedSoftmax])
def test_a_hub_loses_its_hold(cls):
    """One class near to all queries takes most of them, until it is corrected."""
    directions = torch.eye(4, dtype=torch.float64)
    queries = directions.repeat(3, 1) + 0.8  # all lean to the diagonal, where the hub stands
    classes = torch.cat([directions[:3], torch.ones(1, 4, dtype=torch.float64)])
    answers = Cosine().bind(classes, seen=UNSEEN)(queries).argmax(dim=1)
    corrected = cls(base="cosine").bind(classes, seen=UNSEEN)(queries).argmax(dim=1)
    right = torch.arange(4).repeat(3)
    assert (answers == 3).all()
    assert corrected.tolist() == right.tolist()


@pytest.mark.verdict("zeroshot/class_prior", against="Bayes' rule", within=1e-12)
def test_known_priors_are_bayes_rule(equal):
    queries, classes = drawn()
    shares = [0.1, 0.2, 0.3, 0.4]
    found = ClassPrior(base="cosine", prior=shares, scale=5.0).bind(classes, seen=UNSEEN)(queries).exp()
    likely = (5 * Cosine().bind(classes, seen=UNSEEN)(queries)).exp()
    expected = likely * torch.tensor(shares, dtype=torch.float64)
    equal(found, expected / expected.sum(dim=1, keepdim=True))


def test_estimated_priors_are_their_own_mean_answer():
    queries, classes = drawn(count=200)
    method = ClassPrior(base="cosine", scale=10.0, iterations=20_000)
    scores = 10 * Cosine().bind(classes, seen=UNSEEN)(queries)
    answers = method.bind(classes, seen=UNSEEN)(queries).exp()
    prior = answers.mean(dim=0)
    again = (scores + prior.log()).softmax(dim=1).mean(dim=0)
    torch.testing.assert_close(again, prior, atol=1e-5, rtol=0)


def test_estimated_priors_find_the_true_ones():
    """Answers that are the true posteriors under equal priors, of classes that are far from equal."""
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([0.7, 0.2, 0.05, 0.05], dtype=torch.float64)
    labels = torch.multinomial(true, 4000, replacement=True, generator=generator)
    x = 1.2 * torch.eye(4, dtype=torch.float64)[labels] + torch.randn(4000, 4, generator=generator).double()
    # unit normal densities about 1.2 e_c: log p(x | c) = 1.2 x_c + what all classes share
    answers = ClassPrior(base=_Linear(), scale=1.2, iterations=300).bind(torch.eye(4).double(), seen=UNSEEN)(x)
    torch.testing.assert_close(answers.exp().mean(dim=0), true, atol=0.03, rtol=0)
    plain = (1.2 * x).argmax(dim=1)
    assert (answers.argmax(dim=1) == labels).double().mean() > (plain == labels).double().mean() + 0.05


class _Linear(Cosine):
    def scorer(self, class_embeddings, seen):
        return lambda features: features @ class_embeddings.T


def test_equal_priors_give_every_class_its_share():
    queries, classes = drawn(count=50)
    answers = ClassPrior(base="cosine", prior="equal", scale=4.0, iterations=500).bind(classes, seen=UNSEEN)(queries)
    torch.testing.assert_close(
        answers.exp().mean(dim=0), torch.full((4,), 0.25, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.verdict("zeroshot/calibrated_stacking", against="the formula", within=1e-06)
def test_calibration_takes_gamma_from_seen_classes(equal):
    queries, classes = drawn()
    seen = torch.tensor([True, False, True, False])
    plain = Cosine().bind(classes, seen=seen)(queries)
    found = CalibratedStacking(base="cosine", gamma=0.3).bind(classes, seen=seen)(queries)
    equal(plain - found, 0.3 * seen.double().expand_as(plain))


def clusters(seed=0, classes=30, each=8):
    """Return features near a linear image of their class's embedding, labels and embeddings."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(classes, 6, generator=generator, dtype=torch.float64)
    labels = torch.arange(classes).repeat_interleave(each)
    images = embeddings @ torch.randn(6, 12, generator=generator, dtype=torch.float64)
    return images[labels] + 0.8 * torch.randn(len(labels), 12, generator=generator).double(), labels, embeddings


class _Leaning(ESZSL):
    """Scores of seen classes are too high by 2."""

    def scorer(self, class_embeddings, seen):
        scorer = super().scorer(class_embeddings, seen)
        return lambda features: scorer(features) + 2.0 * seen


def test_gamma_is_chosen_in_the_fit_and_helps():
    features, labels, embeddings = clusters(classes=40)
    known = labels < 30
    test = torch.arange(len(labels)) % 4 == 0
    seen = torch.arange(40) < 30
    rows = known & ~test
    plain = _Leaning(12, 6).double().fit(features[rows], labels[rows], embeddings[:30])
    asked = test | ~known
    scores = plain.bind(embeddings, seen=seen)(features[asked])
    curve = seen_unseen_curve(scores, labels[asked], seen)
    assert curve.at(0.0)[1] < 0.1  # as they are, hardly an unseen class is ever named
    reached = []
    for seed in range(7):  # which classes the fit holds out follows the run's seed
        torch.manual_seed(seed)
        method = CalibratedStacking(base=_Leaning(12, 6)).double().fit(features[rows], labels[rows], embeddings[:30])
        seen_share, unseen_share = curve.at(float(method.gamma))
        reached.append(2 * seen_share * unseen_share / (seen_share + unseen_share))
    assert sorted(reached)[3] > 0.9 * float(curve.harmonic.max())
    torch.testing.assert_close(
        method.bind(embeddings, seen=seen)(features[asked]), scores - method.gamma * seen.double(), atol=1e-9, rtol=0
    )


def test_the_choice_of_gamma_is_repeatable_and_needs_classes():
    data = clusters()

    def chosen(seed):
        torch.manual_seed(seed)
        return CalibratedStacking(12, 6, base="ridge").double().fit(*data).gamma.item()

    assert chosen(0) == chosen(0)
    assert chosen(0) != chosen(1)
    features, labels, embeddings = data
    with pytest.raises(ValueError, match="8 examples of 1 classes are too few"):
        CalibratedStacking(12, 6, base="ridge").double().fit(features[:8], labels[:8], embeddings)


def test_a_correction_sees_what_its_base_sees_and_what_it_adds():
    assert CSLS(base="cosine").sees == Cosine.sees | {Sees.TEST_INPUTS}
    assert CSLS(4, 5, base="ridge").sees == Ridge.sees | {Sees.TEST_INPUTS}
    assert CalibratedStacking(4, 5, base="ridge", gamma=0.1).sees == Ridge.sees
    assert ClassPrior(base="cosine").sees == Cosine.sees | {Sees.TEST_INPUTS}
    assert ClassPrior(base="cosine", prior=[1, 2]).sees == Cosine.sees | {Sees.TARGET_PRIOR}
    assert ClassPrior(base="cosine", prior="equal").sees == Cosine.sees | {Sees.TARGET_PRIOR, Sees.TEST_INPUTS}
    assert CSLS.sees == Ridge.sees | {Sees.TEST_INPUTS}


def test_a_correction_is_trained_where_its_base_is():
    assert CSLS(4, 5, base="sje").trained
    assert not CSLS(4, 5, base="ridge").trained
    base = SJE(4, 5)
    features, labels, embeddings = torch.randn(6, 4), torch.arange(6) % 3, torch.randn(3, 5)
    ours = CSLS(base=base).loss(features, labels, embeddings)["loss"]
    assert ours.item() == base.loss(features, labels, embeddings)["loss"].item()


def test_corrections_of_corrections():
    queries, classes = drawn()
    seen = torch.tensor([True, False, True, False])
    inner = {"base": "cosine", "gamma": 0.2}
    method = create_method("csls", base="calibrated_stacking", base_settings=inner, neighbors=2)
    expected = CSLS(base=CalibratedStacking(**inner), neighbors=2)
    torch.testing.assert_close(method.bind(classes, seen=seen)(queries), expected.bind(classes, seen=seen)(queries))
    assert "base.base.gamma" not in method.state_dict()
    assert "base.gamma" in method.state_dict()


@pytest.mark.parametrize(
    ("make_it", "error", "message"),
    [
        (lambda: CSLS(base="cosine", neighbors=0), ValueError, "neighbors 0"),
        (lambda: InvertedSoftmax(base="cosine", scale=-1), ValueError, "scale -1"),
        (lambda: ClassPrior(base="cosine", prior="even"), ValueError, "unknown prior 'even'"),
        (lambda: ClassPrior(base="cosine", prior=[0.5, 0.0]), ValueError, "expected a share > 0"),
        (lambda: ClassPrior(base="cosine", scale=0), ValueError, "scale 0"),
        (lambda: OTTER(base="cosine", prior="even"), ValueError, "prior 'even'"),
        (lambda: OTTER(base="cosine", prior=[0.5, 0.0]), ValueError, "expected a share > 0"),
        (lambda: OTTER(base="cosine", prior=0.5), TypeError, "expected equal or a share"),
        (lambda: CalibratedStacking(base="cosine", share=1), ValueError, "share 1"),
        (lambda: CalibratedStacking(4, 5, base="sje"), ValueError, "SJE is trained step by step.*give gamma"),
        (lambda: CSLS(base="cosin"), ValueError, "did you mean 'zeroshot/cosine'"),
        (lambda: CSLS(base="oneshot/protonet"), TypeError, "base is a ProtoNet; CSLS corrects a Compatibility"),
        (lambda: CSLS(4, 5, base="ridge", base_settings={"penlty": 1}), TypeError, "its settings are .*penalty"),
    ],
)
def test_refusals(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


def test_shares_of_other_candidates():
    queries, classes = drawn()
    with pytest.raises(ValueError, match="2 prior shares for 4 candidates"):
        ClassPrior(base="cosine", prior=[1, 2]).bind(classes, seen=UNSEEN)(queries)


def test_calibration_before_the_fit():
    queries, classes = drawn()
    with pytest.raises(RuntimeError, match="gamma is not known yet; call fit first"):
        CalibratedStacking(base="cosine").bind(classes, seen=UNSEEN)(queries)
