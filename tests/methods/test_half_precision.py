"""What is computed from features in half precision is what float32 gives: no sum overflows, no difference vanishes."""

import numpy as np
import pytest
import torch

from tlzoo import functional
from tlzoo.functional.kernels import gaussian_kernel, pairwise_squared_distances
from tlzoo.functional.moments import symmetric_power
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.transforms import FeatureTransform
from tlzoo.nn.discriminator import domain_loss
from tlzoo.nn.memory_bank import MemoryBank
from tlzoo.registry import METHODS, create_method, method_class
from tlzoo.selection import SCORES, SOURCE_SCORES, health, scores
from tlzoo.types import Need, Prediction

D, C, N = 256, 8, 36
HALF = [torch.float16, torch.bfloat16]


def points(seed, width=D, *, scale=1.0, rows=N):
    """Like features behind a ReLU, with a mean: squared distances reach hundreds, their sum hundreds of thousands."""
    generator = torch.Generator().manual_seed(seed)
    centers = 2 * torch.randn(C, width, generator=generator)
    return scale * torch.relu(centers[torch.arange(rows) % C] + 0.5 * torch.randn(rows, width, generator=generator))


def logits(seed, rows=N):
    return 3 * torch.randn(rows, C, generator=torch.Generator().manual_seed(seed))


X, Y, P, Q = points(0), points(1), logits(2), logits(3)
S, T = P.softmax(dim=1), Q.softmax(dim=1)
LOSSES = {
    "mmd": (lambda x, y: functional.mmd(x, y), (X, Y)),
    "mmd unbiased": (lambda x, y: functional.mmd(x, y, estimator="unbiased"), (X, Y)),
    "mmd linear": (lambda x, y: functional.mmd(x, y, estimator="linear"), (X, Y)),
    "joint_mmd": (functional.joint_mmd, (X, Y, S, T)),
    "local_mmd": (functional.local_mmd, (X, Y, S, T)),
    "gaussian_kernel": (lambda x: gaussian_kernel(x).sum(), (X,)),
    "squared distances": (lambda x: pairwise_squared_distances(x).mean(), (X,)),
    "coral_loss": (functional.coral_loss, (X, Y)),
    "coral_loss domainbed": (lambda x, y: functional.coral_loss(x, y, normalization="domainbed"), (X, Y)),
    "central_moment_discrepancy": (lambda x, y: functional.central_moment_discrepancy(x, y, span=9.0), (X, Y)),
    "higher_order_moment_loss": (functional.higher_order_moment_loss, (X, Y)),
    "moment_distance": (lambda x, y: functional.moment_distance([x, y], 2 * x, moments=3), (X, Y)),
    "spectral_penalty": (functional.spectral_penalty, (X, Y)),
    "stepwise_norm_loss": (functional.stepwise_norm_loss, (100 * X,)),
    "fixed_norm_loss": (functional.fixed_norm_loss, (100 * X,)),
    "symmetric_power": (lambda x: symmetric_power(x, -0.5).sum(), (2 * torch.eye(5) + 0.25,)),
    "sliced_wasserstein": (lambda x, y: functional.sliced_wasserstein(x, y, torch.ones(D, 4)), (X, Y)),
    "sliced_wasserstein of unequal sizes": (
        lambda x, y: functional.sliced_wasserstein(x, y, torch.ones(D, 4)),
        (X, Y[:20]),
    ),
    "entropy": (lambda p: functional.entropy(p).sum(), (P,)),
    "divergence": (lambda p, q: functional.divergence(p, q).sum(), (P, Q)),
    "information_maximization": (functional.information_maximization, (P,)),
    "minimum_class_confusion": (functional.minimum_class_confusion, (P,)),
    "batch_nuclear_norm_loss": (functional.batch_nuclear_norm_loss, (P,)),
    "classifier_discrepancy": (functional.classifier_discrepancy, (P, Q)),
    "margin_disparity": (lambda p, q: functional.margin_disparity(p, q, q, p), (P, Q)),
    "uniform_confusion": (functional.uniform_confusion, (P[:, 0],)),
    "domain_loss": (lambda p: domain_loss(p[:, :1], 20)[0], (P,)),
}


def with_gradient(function, values, *, autocast=None):
    leaves = [value.detach().clone().requires_grad_() for value in values]
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        result = function(*leaves)
    gradients = torch.autograd.grad(result, leaves, allow_unused=True)
    return result, [
        torch.zeros_like(v).float() if g is None else g.float() for v, g in zip(leaves, gradients, strict=True)
    ]


def about(found, expected, tolerance, *, step=0.0):
    """Hold found and expected to be equal but for a share, and the smallest ``step`` of the dtype in each entry."""
    assert (found - expected).norm() <= tolerance * expected.norm() + step * found.numel() ** 0.5 + 1e-12


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_half_precision(name, dtype):
    function, values = LOSSES[name]
    rounded = [value.to(dtype) for value in values]
    expected, expected_gradients = with_gradient(function, [value.float() for value in rounded])
    found, gradients = with_gradient(function, rounded)
    assert found.dtype == torch.float32
    about(found.detach(), expected.detach(), 1e-6)
    for one, other in zip(gradients, expected_gradients, strict=True):
        about(one, other, torch.finfo(dtype).eps, step=torch.finfo(dtype).smallest_normal / 1024)  # in half, too


@pytest.mark.parametrize("name", LOSSES)
def test_losses_under_autocast(name):
    function, values = LOSSES[name]
    expected, expected_gradients = with_gradient(function, values)
    found, gradients = with_gradient(function, values, autocast=torch.float16)
    assert found.dtype == torch.float32
    about(found.detach(), expected.detach(), 1e-6)
    for one, other in zip(gradients, expected_gradients, strict=True):
        about(one, other, 1e-5)


ALIGNMENTS = [
    name
    for name in METHODS
    if issubclass(method_class(name), Alignment) and not method_class(name).needs & {Need.VIEWS, Need.MODEL}
]


def sides(dtype):
    said = [(X, P), (Y, Q)]
    return [
        Prediction(
            features=features.clone().to(dtype).requires_grad_(),
            logits=said_logits.clone().to(dtype).requires_grad_(),
            labels=torch.arange(N) % C,
            indices=torch.arange(N),
            domains=torch.arange(N) % 2,
        )
        for features, said_logits in said
    ]


@pytest.mark.parametrize("dtype", [*HALF, torch.float64])
@pytest.mark.parametrize("name", ALIGNMENTS)
def test_alignments_take_features_of_any_precision(name, dtype):
    losses, gradients = [], []
    for convert in (False, True):
        torch.manual_seed(0)
        method = create_method(name, num_features=D, num_classes=C, **dict(method_class(name).variants[0]))
        source, target = sides(dtype)
        if convert:
            source, target = sides(torch.float32) if dtype == torch.float64 else sides(dtype)
            source, target = (
                Prediction(**{**vars(s), "features": s.features.float(), "logits": s.logits.float()})
                for s in (source, target)
            )
        method.on_epoch(target)
        loss = method(source, target, progress=0.7)["loss"]
        losses.append(loss.detach())
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, target.features, allow_unused=True)
            gradients.append(None if gradient is None else gradient.float())
    assert losses[0].dtype in (torch.float32, dtype)
    torch.testing.assert_close(losses[0].float(), losses[1], rtol=1e-4, atol=1e-6)
    if gradients and gradients[0] is not None:
        about(gradients[0], gradients[1], 1e-3 if dtype == torch.float64 else 2e-2, step=1e-7)


@pytest.mark.parametrize("dtype", HALF)
def test_validators_of_half_precision(dtype):
    source = Prediction(features=X.to(dtype), logits=P.to(dtype), labels=torch.arange(N) % C)
    found = scores(Y.to(dtype), Q.to(dtype), source)
    exact_source = Prediction(features=X.to(dtype).float(), logits=P.to(dtype).float(), labels=source.labels)
    exact = scores(Y.to(dtype).float(), Q.to(dtype).float(), exact_source)
    assert set(found) == {*SCORES, *SOURCE_SCORES}
    for name, value in found.items():
        torch.testing.assert_close(value, exact[name], rtol=1e-5, atol=1e-6, msg=name)
    usual = Prediction(features=X, logits=P, labels=source.labels)
    exact = scores(Y, Q, usual)
    with torch.autocast("cpu", dtype=dtype):
        for name, value in scores(Y, Q, usual).items():
            torch.testing.assert_close(value, exact[name], rtol=1e-5, atol=1e-6, msg=name)
    assert health(Y.to(dtype), Q.to(dtype), X.to(dtype)) == health(*(v.to(dtype).float() for v in (Y, Q, X)))


@pytest.mark.parametrize("name", [name for name in METHODS if issubclass(method_class(name), FeatureTransform)])
def test_transforms_take_arrays_of_any_precision(name):
    x, y = points(0, 6, rows=60), 2 * points(1, 6, rows=50)
    labels = torch.arange(60) % C
    expected = create_method(name, num_features=6, num_classes=C).fit(x, y, labels)
    for convert in (lambda t: t.half(), lambda t: t.double(), lambda t: t.numpy(), lambda t: t.double().numpy()):
        method = create_method(name, num_features=6, num_classes=C).fit(convert(x), convert(y), labels)
        for side, values in (("source", x), ("target", y)):
            found = getattr(method, f"transform_{side}")(convert(values))
            assert found.dtype == torch.float32
            about(found, getattr(expected, f"transform_{side}")(values), 2e-2)
    with pytest.raises(ValueError, match="features are of type <U1"):
        expected.transform_source(np.array(["a", "b"]))


def test_a_memory_of_half_precision():
    bank = MemoryBank(D, C)
    bank.fill(X.half(), P.half())
    bank.update(torch.tensor([3]), Y[:1].bfloat16(), Q[:1].bfloat16())
    assert bank.features.dtype == torch.float32
    assert torch.equal(bank.features[3], Y[0].bfloat16().float())
    assert bank.neighbors(torch.tensor([0]), X[:1].half(), 3).shape == (1, 3)
