"""Adversarial losses against their formulas, written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.adaptation import SWD
from tlzoo.methods.confusion import ADDA, GVB, IWAN, MCD, MDD, OSBP, PADA, WDGRL, DomainConfusionLoss, SymNets
from tlzoo.types import Prediction

D, C = 4, 3


def side(rows, seed, **more):
    generator = torch.Generator().manual_seed(seed)
    return Prediction(
        features=torch.randn(rows, D, generator=generator, dtype=torch.float64),
        logits=torch.randn(rows, C, generator=generator, dtype=torch.float64),
        labels=torch.arange(rows) % C,
        **more,
    )


SOURCE, TARGET = side(6, 0), side(5, 1)


def with_gradient(prediction):
    return Prediction(
        features=prediction.features.clone().requires_grad_(), logits=prediction.logits, labels=prediction.labels
    )


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.verdict("confusion/domain_confusion", against="the formula, and gradients of each side", within=1e-12)
def test_domain_confusion_trains_each_side_on_its_own_term(equal):
    method = DomainConfusionLoss(D, C, hidden=8, weight=0.5).double()
    source, target = with_gradient(SOURCE), with_gradient(TARGET)
    terms = method(source, target)
    logits = method.discriminator(torch.cat([SOURCE.features, TARGET.features])).squeeze(1)
    told = 0.5 * (F.softplus(-logits[:6]).mean() + F.softplus(logits[6:]).mean())
    pull = 0.5 * (F.softplus(logits) + F.softplus(-logits))
    confusion = 0.5 * (pull[:6].mean() + pull[6:].mean())
    equal(terms["loss"].item(), (told + 0.5 * confusion).item())
    expected = torch.autograd.grad(told, list(method.parameters()))
    found = torch.autograd.grad(terms["loss"], [*method.parameters(), source.features])
    for ours, theirs in zip(found[:-1], expected, strict=True):
        equal(ours, theirs)
    assert found[-1].abs().sum() > 0


@pytest.mark.verdict("confusion/mdd", against="the formula, and its gradient", within=1e-12)
def test_mdd_reverses_what_the_adversary_learns(equal):
    method = MDD(D, C, hidden=8, margin=2.0, reversal=0.1, gamma=10.0, adversary="batch_norm").double()
    source, target = with_gradient(SOURCE), with_gradient(TARGET)
    loss = method(source, target, progress=0.5)["loss"]
    answers = method.adversary(torch.cat([source.features, target.features]))
    ours = F.cross_entropy(answers[:6], SOURCE.logits.argmax(1))
    p = answers[6:].softmax(1).gather(1, TARGET.logits.argmax(1, keepdim=True))
    plain = 2.0 * ours - (1 - p).log().mean()
    equal(loss.item(), plain.item())
    reversed_, straight = (torch.autograd.grad(v, target.features, retain_graph=True)[0] for v in (loss, plain))
    coefficient = 0.1 * (2 / (1 + math.exp(-5)) - 1)
    equal(reversed_, -coefficient * straight)


@pytest.mark.verdict("confusion/gvb", against="the formula, written out", within=1e-12)
def test_gvb_head_minus_bridge(equal):
    method = GVB(D, C, hidden=8).double()
    head = method.make_head()
    equal(head(SOURCE.features), head.classifier(SOURCE.features) - head.bridge(SOURCE.features))
    less, more = (GVB(D, C, hidden=8, head_bridge=w).double() for w in (0.0, 1.0))
    more.load_state_dict(less.state_dict())
    features = torch.cat([SOURCE.features, TARGET.features])
    gap = more(SOURCE, TARGET)["loss"] - less(SOURCE, TARGET)["loss"]
    equal(gap.item(), more.head.bridge(features).abs().mean().item())


@pytest.mark.verdict("confusion/symnets", against="the formulas, written out", within=1e-12)
def test_symnets_terms(equal):
    method = SymNets(D, C).double()
    n = 6
    features = torch.cat([SOURCE.features, TARGET.features])
    joint = torch.cat([method.source_classifier(features), method.target_classifier(features)], dim=1)
    p = joint.softmax(dim=1)
    supervised = F.cross_entropy(joint[:n, :C], SOURCE.labels)
    told = -p[:n, :C].sum(1).log().mean() - p[n:, C:].sum(1).log().mean()
    rows = torch.arange(n)
    category = -0.5 * (p[rows, SOURCE.labels].log() + p[rows, SOURCE.labels + C].log()).mean()
    domain = -0.5 * (p[n:, :C].sum(1).log() + p[n:, C:].sum(1).log()).mean()
    q = p[n:, :C] + p[n:, C:]
    lam = 2 / (1 + math.exp(-4)) - 1
    expected = supervised + told + category + lam * (domain - (q * q.log()).sum(1).mean())
    equal(method(SOURCE, TARGET, progress=0.4)["loss"].item(), expected.item())


def test_pada_weighs_classes_by_their_mean_in_the_target():
    method = PADA(D, C, hidden=8).double()
    assert method.source_weights(SOURCE).tolist() == [1.0] * 6
    method.on_epoch(TARGET)
    mean = TARGET.logits.softmax(1).mean(0)
    torch.testing.assert_close(method.source_weights(SOURCE), (mean / mean.max())[SOURCE.labels])
    logits = method.discriminator(torch.cat([SOURCE.features, TARGET.features])).squeeze(1)
    w = method.source_weights(SOURCE)
    expected = 0.5 * ((w * F.softplus(-logits[:6])).mean() + F.softplus(logits[6:]).mean())
    assert method(SOURCE, TARGET)["loss"].item() == pytest.approx(expected.item())


@pytest.mark.verdict("confusion/iwan", against="the formula, written out", within=1e-12)
def test_iwan_weighs_examples_by_the_first_discriminator(equal):
    method = IWAN(D, C, hidden=8, entropy_weight=0.0).double()
    features = torch.cat([SOURCE.features, TARGET.features])
    first, second = (d(features).squeeze(1) for d in (method.first_discriminator, method.discriminator))
    told = 0.5 * (F.softplus(-first[:6]).mean() + F.softplus(first[6:]).mean())
    w = torch.sigmoid(-first[:6])
    fooled = 0.5 * ((w * F.softplus(-second[:6])).sum() / w.sum() + F.softplus(second[6:]).mean())
    equal(method(SOURCE, TARGET)["loss"].item(), (told + fooled).item())


@pytest.mark.verdict("confusion/osbp", against="the formula, written out", within=1e-12)
def test_osbp_pulls_the_unknown_to_its_boundary(equal):
    method = OSBP(D, C, boundary=0.3).double()
    p = method.head(TARGET.features).softmax(1)[:, -1]
    expected = -(0.3 * p.log() + 0.7 * (1 - p).log()).mean()
    equal(method(SOURCE, TARGET)["loss"].item(), expected.item())


@pytest.mark.verdict("confusion/mcd", against="the authors' three losses, restated", within=1e-12)
def test_mcd_phases(equal):
    method = MCD(D, C, hidden=8, repeats=2).double()
    assert [(p.name, p.trains, p.repeats) for p in method.phases(0.0)] == [
        ("learn", ("features", "head"), 1),
        ("disagree", ("head",), 1),
        ("agree", ("features",), 2),
    ]
    first, second = method.head.each(TARGET.features)
    gap = (first.softmax(1) - second.softmax(1)).abs().mean()
    supervised = sum(F.cross_entropy(logits, SOURCE.labels) for logits in method.head.each(SOURCE.features))
    losses = [method.loss(phase.name, SOURCE, TARGET)["loss"] for phase in method.phases(0.0)]
    equal(torch.stack(losses), torch.stack([supervised, supervised - gap, gap]))


@pytest.mark.verdict("adaptation/swd", against="the formula, written out", within=1e-12)
def test_swd_disagrees_along_its_directions(equal):
    method = SWD(D, C, hidden=8, directions=16).double()
    first, second = (logits.softmax(1) @ method.directions for logits in method.head.each(TARGET.features))
    expected = (first.sort(dim=0).values - second.sort(dim=0).values).square().mean()
    equal(method.loss("agree", SOURCE, TARGET)["loss"].item(), expected.item())


@pytest.mark.verdict("confusion/wdgrl", against="the formula, point by point", within=1e-12)
def test_wdgrl_penalizes_slopes_other_than_one(equal):
    method = WDGRL(D, C, hidden=8, penalty=10.0, rate=1.0).double()
    distance = method.critic(SOURCE.features).mean() - method.critic(TARGET.features).mean()
    share = ((torch.arange(5) + 0.5) / 5)[:, None].double()
    between = SOURCE.features[:5] + share * (TARGET.features - SOURCE.features[:5])
    slopes = []
    for point in torch.cat([SOURCE.features, TARGET.features, between]):
        point = point.clone().requires_grad_()
        slopes.append(torch.autograd.grad(method.critic(point).sum(), point)[0].norm())
    expected = 10 * (torch.stack(slopes) - 1).square().mean() - distance
    equal(method.loss("criticize", SOURCE, TARGET)["loss"].item(), expected.item())


@pytest.mark.verdict("confusion/adda", against="the formula, written out", within=1e-12)
def test_adda_inverts_the_label_of_the_target(equal):
    method = ADDA(D, C, hidden=8, weight=1.0).double()
    assert [phase.name for phase in method.phases(0.4)] == ["learn"]
    assert [phase.name for phase in method.phases(0.5)] == ["discriminate", "deceive"]
    logits = method.discriminator(torch.cat([SOURCE.features, TARGET.features])).squeeze(1)
    expected = F.softplus(-logits[6:]).mean()
    equal(method.loss("deceive", SOURCE, TARGET)["loss"].item(), expected.item())
