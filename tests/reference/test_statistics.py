"""Alignments of one statistic, and baselines of other families, against numbers of NumPy or the formula by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tlzoo.methods.adaptation import (
    BNM,
    BSP,
    CMD,
    DAN,
    HAFN,
    JAN,
    MCC,
    SAFN,
    DeepCORAL,
    EntropyMinimization,
    HoMM,
    InformationMaximization,
    SourceOnly,
    TargetOnly,
    Unaligned,
)
from tlzoo.methods.multitask import IMTLL, RLW, Equal, Fixed
from tlzoo.types import Prediction

GOLDEN = json.loads((Path(__file__).parent / "golden_alignment.json").read_text())
INPUTS = {name: np.asarray(value, dtype=np.float64) for name, value in GOLDEN["inputs"].items()}
OURS, THEIRS = INPUTS["source_features"], INPUTS["target_features"]
D, C = OURS.shape[1], INPUTS["source_logits"].shape[1]
SCALES = [2.0**i for i in range(-3, 2)]
LOSSES = torch.tensor([0.5, 2.0, 1.3]).double()


def side(name, **parts):
    return Prediction(features=INPUTS[f"{name}_features"], logits=INPUTS[f"{name}_logits"], **parts)


def loss(method):
    labels = torch.arange(len(OURS)) % C
    return method.double()(side("source", labels=labels), side("target", labels=labels))["loss"]


@pytest.mark.parametrize(
    ("method", "key"),
    [
        pytest.param(
            DAN(D, C, scales=SCALES, estimator="unbiased"),
            "mkmmd_unbiased",
            marks=pytest.mark.verdict("adaptation/dan", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            DeepCORAL(D, C),
            "coral_paper",
            marks=pytest.mark.verdict("adaptation/deep_coral", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            JAN(D, C, estimator="biased", weight=1.0),
            "jmmd_biased",
            marks=pytest.mark.verdict("adaptation/jan", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            MCC(D, C),
            "mcc_T2.5",
            marks=pytest.mark.verdict("adaptation/mcc", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            BNM(D, C, weight=1.0),
            "bnm",
            marks=pytest.mark.verdict("adaptation/bnm", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            BSP(D, C, weight=1.0),
            "bsp_k1",
            marks=pytest.mark.verdict("adaptation/bsp", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            EntropyMinimization(D, C, weight=1.0),
            "entropy_mean_target",
            marks=pytest.mark.verdict("adaptation/entropy_minimization", against="the formula in NumPy", within=1e-9),
        ),
        pytest.param(
            InformationMaximization(D, C, weight=1.0),
            "information_maximization",
            marks=pytest.mark.verdict(
                "adaptation/information_maximization", against="the formula in NumPy", within=1e-9
            ),
        ),
    ],
)
def test_golden(method, key, equal):
    equal(loss(method), GOLDEN[key])


@pytest.mark.verdict("adaptation/cmd", against="the formula in NumPy", within=1e-9)
def test_cmd(equal):
    sides = [np.tanh(rows) for rows in (OURS, THEIRS)]
    expected = np.linalg.norm(sides[0].mean(axis=0) - sides[1].mean(axis=0)) / 2  # tanh spans 2
    for order in (2, 3):
        moments = [((rows - rows.mean(axis=0)) ** order).mean(axis=0) for rows in sides]
        expected += np.linalg.norm(moments[0] - moments[1]) / 2**order
    equal(loss(CMD(D, C, moments=3, activation="tanh", weight=1.0)), expected)


@pytest.mark.verdict("adaptation/homm", against="the third moments in NumPy", within=1e-9)
def test_homm(equal):
    moments = [np.einsum("na,nb,nc->abc", rows, rows, rows) / len(rows) for rows in (OURS, THEIRS)]
    equal(loss(HoMM(D, C, order=3, center=False, weight=1.0)), np.square(moments[0] - moments[1]).mean())


@pytest.mark.verdict("adaptation/hafn", against="the formula in NumPy", within=1e-9)
def test_hafn(equal):
    lengths = [np.linalg.norm(rows, axis=1).mean() for rows in (OURS, THEIRS)]
    equal(loss(HAFN(D, C, norm=25.0, weight=0.05)), 0.05 * sum((length - 25.0) ** 2 for length in lengths))


@pytest.mark.verdict("adaptation/safn", against="the gradient in NumPy", within=1e-9)
def test_safn(equal):
    sides = [side("source"), side("target")]
    leaves = [part.features.requires_grad_() for part in sides]
    SAFN(D, C, step=1.0, weight=1.0).double()(*sides)["loss"].backward()
    for leaf in leaves:
        rows = leaf.detach().numpy()
        equal(leaf.grad, -2 * rows / np.linalg.norm(rows, axis=1, keepdims=True) / len(rows))


@pytest.mark.verdict("adaptation/source_only", against="nothing is added", within=1e-12)
def test_source_only(equal):
    equal(loss(SourceOnly(D, C)), 0.0)


@pytest.mark.verdict("adaptation/unaligned", against="the source's mean and deviation in NumPy", within=1e-9)
def test_unaligned(equal):
    source, target = torch.from_numpy(OURS), torch.from_numpy(THEIRS)
    method = Unaligned(D, C).double().fit(source, target)
    equal(method.transform_source(source), (OURS - OURS.mean(axis=0)) / OURS.std(axis=0))
    equal(method.transform_target(target), (THEIRS - OURS.mean(axis=0)) / OURS.std(axis=0))


@pytest.mark.verdict("adaptation/target_only", against="the cross-entropy of the target, by hand", within=1e-9)
def test_target_only(equal):
    logits = INPUTS["target_logits"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    equal(loss(TargetOnly(D, C)), -np.log(p[np.arange(len(p)), np.arange(len(p)) % C]).mean())


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        pytest.param(
            Equal(3), [1, 1, 1], marks=pytest.mark.verdict("multitask/equal", against="the formula", within=1e-12)
        ),
        pytest.param(
            Fixed(3, weights=[0.5, 2.0, 0.5]),
            [0.5, 2.0, 0.5],
            marks=pytest.mark.verdict("multitask/fixed", against="the formula", within=1e-12),
        ),
        pytest.param(
            IMTLL(3, initial=0.4),
            [np.exp(0.4)] * 3,
            marks=pytest.mark.verdict("multitask/imtl_l", against="the formula", within=1e-6),
        ),
    ],
)
def test_weights(method, weights, equal):
    equal(method.double().weights(LOSSES), weights)


@pytest.mark.verdict("multitask/rlw", against="the mean of its draws and their sum", within=0.05)
def test_rlw(equal):
    torch.manual_seed(0)
    method = RLW(3).double()
    drawn = torch.stack([method.weights(LOSSES) for _ in range(2000)])
    equal(drawn.sum(dim=1), np.full(2000, float(drawn[0].sum())))
    equal(drawn.mean(dim=0), np.full(3, float(drawn[0].sum()) / 3))
