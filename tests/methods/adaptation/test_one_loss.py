"""Alignments of one loss against their formulas, written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from tlzoo.functional import local_mmd, transport_plan
from tlzoo.methods.adaptation import (
    ATDOC,
    BNM,
    BSP,
    CMD,
    DSAN,
    HAFN,
    JAN,
    MCC,
    NRC,
    SAFN,
    SHOT,
    DeepJDOT,
    EntropyMinimization,
    HoMM,
    InformationMaximization,
    PseudoLabel,
)
from tlzoo.methods.adaptation.shot import cluster_labels
from tlzoo.types import Prediction

D, C = 4, 3


def side(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return Prediction(
        features=torch.randn(rows, D, generator=generator, dtype=torch.float64),
        logits=torch.randn(rows, C, generator=generator, dtype=torch.float64),
        labels=torch.arange(rows) % C,
        indices=torch.arange(rows),
    )


SOURCE, TARGET = side(6, 0), side(5, 1)


def value(method, progress=1.0):
    return method(SOURCE, TARGET, progress=progress)["loss"].item()


@pytest.mark.parametrize(
    "cls", [MCC, BNM, JAN, BSP, SAFN, HAFN, EntropyMinimization, InformationMaximization, CMD, HoMM]
)
def test_the_weight_is_a_factor(cls):
    assert value(cls(D, C, weight=0.5)) == pytest.approx(0.5 * value(cls(D, C, weight=1.0)))


def test_entropy_and_information():
    p = TARGET.logits.softmax(dim=1)
    mean_entropy = -(p * p.log()).sum(dim=1).mean()
    marginal = -(p.mean(dim=0) * p.mean(dim=0).log()).sum()
    assert value(EntropyMinimization(D, C, weight=1.0)) == pytest.approx(mean_entropy.item())
    assert value(InformationMaximization(D, C)) == pytest.approx((mean_entropy - marginal).item())


@pytest.mark.verdict("adaptation/dsan", against="the schedule times the local discrepancy", within=1e-12)
def test_dsan_is_scheduled_and_weighs_by_label_and_prediction(equal):
    labels = F.one_hot(SOURCE.labels, C).double()
    plain = local_mmd(SOURCE.features, TARGET.features, labels, TARGET.logits.softmax(dim=1))
    schedule = 2 / (1 + math.exp(-10 * 0.3)) - 1
    equal(value(DSAN(D, C), progress=0.3), 0.5 * schedule * plain.item())


@pytest.mark.verdict("adaptation/deep_jdot", against="the plan times the cost, pair by pair", within=1e-12)
def test_deep_jdot_sums_the_plan_times_cost_pair_by_pair(equal):
    cost = torch.zeros(6, 5, dtype=torch.float64)
    for i in range(6):
        for j in range(5):
            distance = (SOURCE.features[i] - TARGET.features[j]).square().sum()
            label = F.cross_entropy(TARGET.logits[j : j + 1], SOURCE.labels[i : i + 1])
            cost[i, j] = 0.5 * distance + 2.0 * label
    expected = (transport_plan(cost) * cost).sum()
    equal(value(DeepJDOT(D, C, alpha=0.5, beta=2.0)), expected.item())


@pytest.mark.verdict("adaptation/pseudo_label", against="the formula, written out", within=1e-12)
def test_pseudo_labels_are_ramped_and_cut(equal):
    p, answers = TARGET.logits.softmax(dim=1).max(dim=1)
    losses = F.cross_entropy(TARGET.logits, answers, reduction="none")
    method = PseudoLabel(D, C, threshold=0.5, begin=0.2, end=0.6)
    expected = ((p >= 0.5) * losses).mean().item()
    assert value(method, progress=0.1) == 0.0
    equal(value(method, progress=0.4), 0.5 * 3 * expected)  # the paper's alpha_f is 3
    equal(value(method), 3 * expected)


@pytest.mark.parametrize("confidence_is", ["mass", "share"])
@pytest.mark.verdict("adaptation/atdoc", against="the formula, neighbor by neighbor", within=1e-12)
def test_atdoc_learns_what_neighbors_say(confidence_is, equal):
    method = ATDOC(D, C, neighbors=2, confidence=confidence_is).double()
    memory = side(5, 2)
    method.on_epoch(memory)
    found = value(method, progress=0.5)
    features = F.normalize(TARGET.features, dim=1)
    squares = TARGET.logits.softmax(dim=1).square()
    squares = squares / squares.sum(dim=0)
    total, mass = 0.0, 0.0
    for i in range(5):
        order = sorted((j for j in range(5) if j != i), key=lambda j: -float(features[i] @ features[j]))[:2]
        mean = squares[order].mean(dim=0)
        confidence = (mean / mean.sum() if confidence_is == "share" else mean).max().item()
        answer = mean.argmax()
        total += confidence * F.cross_entropy(TARGET.logits[i], answer).item()
        mass += confidence
    equal(found, 0.5 * total / mass)


def test_atdoc_wants_its_memory_filled():
    with pytest.raises(ValueError, match="a memory of 0 examples does not hold index 4"):
        value(ATDOC(D, C).double())


@pytest.mark.verdict("adaptation/nrc", against="the formula, neighbor by neighbor", within=1e-12)
def test_nrc_agrees_with_reciprocal_neighbors(equal):
    method = NRC(D, C, neighbors=2, expanded=2).double()
    method.on_epoch(TARGET)
    found = method.loss(TARGET)["loss"].item()
    features, p = F.normalize(TARGET.features, dim=1), TARGET.logits.softmax(dim=1)

    def near(i):
        return sorted((j for j in range(5) if j != i), key=lambda j: -float(features[i] @ features[j]))[:2]

    agreement = 0.0
    for i in range(5):
        for k in near(i):
            agreement += (1.0 if i in near(k) else 0.1) * float(p[k] @ p[i]) / 5
            agreement += sum(0.1 * float(p[m] @ p[i]) / 5 for m in near(k))
    mean = p.mean(dim=0)
    equal(found, -agreement + (mean * mean.log()).sum().item())


def test_shot_labels_are_nearest_centroids():
    features = torch.tensor([[3.0, 0.0], [3.1, 0.2], [0.0, 3.0], [0.1, 3.1], [2.9, 0.1]])
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])  # the last one is wrong
    assert cluster_labels(features, probabilities).tolist() == [0, 0, 1, 1, 0]


@pytest.mark.verdict("adaptation/shot", against="the formula, written out", within=1e-12)
def test_shot_adds_pseudo_labels_to_information(equal):
    method = SHOT(D, C, weight=0.3)
    method.on_epoch(TARGET)
    labels = cluster_labels(TARGET.features, TARGET.logits.softmax(dim=1))
    expected = value(InformationMaximization(D, C)) + 0.3 * F.cross_entropy(TARGET.logits, labels).item()
    equal(method.loss(TARGET)["loss"].item(), expected)
    with pytest.raises(ValueError, match="call on_epoch"):
        SHOT(D, C).loss(TARGET)
