"""Task gradients in factors against task gradients stacked by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.nn.gradients import TaskTape, deliver
from tlzoo.nn.gradients.linear import LinearBlock, factored_is_cheaper

TASKS = 3


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.embed = nn.Linear(5, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x.view(len(x), 4, 5))], dim=1)
        return self.norm(x + self.attend(x, x, x, need_weights=False)[0])[:, 0]


class Tied(nn.Module):
    """A weight that is used twice as a layer, and once in another way; a bias that two layers have."""

    def __init__(self):
        super().__init__()
        self.first, self.twice = nn.Linear(20, 20), nn.Linear(20, 20)
        self.third = nn.Linear(20, 20)
        self.third.bias = self.first.bias
        self.odd = nn.Linear(20, 20)

    def forward(self, x):
        x = self.twice(torch.tanh(self.twice(self.first(x))))
        return F.linear(self.third(x), self.odd.weight.T, self.odd.bias) + self.odd(x)


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(20, 6), nn.Linear(6, 8)
        self.first.weight.requires_grad_(False)
        self.second.bias.requires_grad_(False)

    def forward(self, x):
        return self.second(self.first(x).relu())


def convolutions():
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 5)), nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True),
        nn.Dropout2d(0.3), nn.Conv2d(3, 4, 2, stride=2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(inplace=True),
    )  # fmt: skip


NETWORKS = {
    "convolutions": convolutions,
    "attention": Attention,
    "tied": Tied,
    "frozen": Frozen,
    "wide": lambda: nn.Sequential(nn.Linear(20, 300), nn.Tanh(), nn.Linear(300, 40, bias=False)),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(20, 8)),
    "recurrent": lambda: nn.Sequential(nn.Unflatten(1, (4, 5)), nn.LSTM(5, 6, batch_first=True), Last()),
}


class Last(nn.Module):
    def forward(self, pair):
        return pair[0][:, -1]


def parts(name, dtype):
    torch.manual_seed(0)
    trunk = NETWORKS[name]().to(dtype)
    x = torch.randn(6, 20, dtype=dtype)
    width = trunk(x).shape[1]
    heads = nn.ModuleList(nn.Linear(width, 2) for _ in range(TASKS)).to(dtype)
    return trunk, heads, x


def losses_of(heads, features):
    return [head(features).square().mean() * (task + 1) for task, head in enumerate(heads)]


def taped(trunk, heads, x, *, space="parameters"):
    tape = TaskTape(trunk.parameters())
    torch.manual_seed(1)
    with tape:
        features = tape.cut(trunk(x))
    return tape.gradients(losses_of(heads, features), private=heads.parameters(), space=space)


def stacked(trunk, heads, x):
    """Return the gradients of each task by hand: shared (T, P) in the order of the parameters, and the heads' own."""
    shared = [p for p in trunk.parameters() if p.requires_grad]
    torch.manual_seed(1)
    losses = losses_of(heads, trunk(x))
    rows = [torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True) for loss in losses]
    own = torch.autograd.grad(sum(losses), list(heads.parameters()))
    return (
        shared,
        [[torch.zeros_like(p) if g is None else g for g, p in zip(row, shared, strict=True)] for row in rows],
        own,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_gradients_stacked_by_hand(name, dtype, tolerance):
    trunk, heads, x = parts(name, dtype)
    other = copy.deepcopy(trunk)
    gradients = taped(trunk, heads, x)
    shared, rows, own = stacked(other, heads, x)
    weights = torch.tensor([0.7, -1.3, 2.0], dtype=dtype)
    gradients.deliver(weights).backward()
    found = torch.cat([p.grad.flatten() for p in trunk.parameters() if p.requires_grad])
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    expected = weights @ jacobian
    assert (found - expected).norm() <= tolerance * expected.norm()
    gramian, products = gradients.gramian(), jacobian @ jacobian.T
    assert (gramian - products).abs().max() <= 4 * tolerance * products.abs().max()
    for head, gradient in zip(heads.parameters(), own, strict=True):
        torch.testing.assert_close(head.grad, gradient)
    assert len(shared) == len({id(p) for p in gradients.parameters})
    assert {id(p) for p in gradients.parameters} == {id(p) for p in trunk.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["convolutions", "wide"])
def test_direction_and_jacobian_have_the_same_columns(name):
    trunk, heads, x = parts(name, torch.float64)
    gradients = taped(trunk, heads, x)
    jacobian = gradients.jacobian()
    torch.testing.assert_close(jacobian @ jacobian.T, gradients.gramian(), rtol=1e-10, atol=0)
    weights = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    direct = [g.clone() for g in gradients.combined(weights)]
    gradients.deliver_direction(weights @ jacobian).backward()
    for parameter, gradient in zip(gradients.parameters, direct, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    with pytest.raises(ValueError, match="one per column"):
        gradients.deliver_direction(jacobian[0, 1:])


def test_features_space_meets_at_the_cut():
    trunk, heads, x = parts("convolutions", torch.float64)
    other = copy.deepcopy(trunk)
    gradients = taped(trunk, heads, x, space="features")
    torch.manual_seed(1)
    features = other(x)
    at_cut = torch.stack(
        [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses_of(heads, features)]
    )
    torch.testing.assert_close(gradients.gramian(), at_cut @ at_cut.T)
    weights = torch.tensor([0.2, 3.0, 1.0], dtype=torch.float64)
    gradients.deliver(weights).backward()
    losses = losses_of(heads, features)
    expected = torch.autograd.grad(
        sum(w * loss for w, loss in zip(weights, losses, strict=True)), list(other.parameters())
    )
    for parameter, gradient in zip(trunk.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_several_shared_results_some_of_them_without_gradient():
    torch.manual_seed(0)
    trunk, head = nn.Linear(3, 4).double(), nn.Linear(4, 1).double()
    x = torch.randn(5, 3).double()
    tape = TaskTape(trunk.parameters())
    with tape:
        raw, once, twice = tape.cut((x, trunk(x), trunk(2 * x)))
    assert raw is x
    gradients = tape.gradients([head(once).mean(), (head(twice).mean() + once.square().mean()) * raw.mean()])
    losses = [head(trunk(x)).mean(), (head(trunk(2 * x)).mean() + trunk(x).square().mean()) * x.mean()]
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(loss, trunk.parameters())]) for loss in losses]
    jacobian = torch.stack(rows)
    torch.testing.assert_close(gradients.gramian(), jacobian @ jacobian.T)


def test_loss_scaling_and_accumulation_see_an_ordinary_loss():
    trunk, heads, x = parts("wide", torch.float64)
    gradients = taped(trunk, heads, x)
    weights = torch.ones(TASKS, dtype=torch.float64)
    (1024 * gradients.deliver(weights)).backward()
    scaled = [p.grad.clone() for p in trunk.parameters()]
    taped(trunk, heads, x).deliver(weights).backward()
    for parameter, before in zip(trunk.parameters(), scaled, strict=True):
        torch.testing.assert_close(parameter.grad, before * (1 + 1 / 1024))


def test_value_is_the_weighted_loss():
    trunk, heads, x = parts("wide", torch.float64)
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    expected = sum(w * loss for w, loss in zip(weights, losses_of(heads, trunk(x)), strict=True))
    assert taped(trunk, heads, x).deliver(weights).item() == pytest.approx(expected.item())


def test_bfloat16_under_autocast():
    trunk, heads, x = parts("wide", torch.float32)
    exact = taped(trunk, heads, x).gramian()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gradients = taped(trunk, heads, x)
        loss = gradients.deliver(torch.ones(TASKS))
    loss.backward()
    assert all(p.grad.dtype == torch.float32 for p in trunk.parameters())
    assert (gradients.gramian() - exact).norm() <= 0.05 * exact.norm()


def test_nothing_shared_is_an_error():
    tape = TaskTape(nn.Linear(2, 2).parameters())
    with pytest.raises(ValueError, match="share trainable layers"):
        tape.gradients([torch.ones((), requires_grad=True)])


def test_input_changed_in_place_is_an_error():
    trunk = nn.Linear(400, 300)
    tape = TaskTape(trunk.parameters())
    x = torch.randn(4, 400)
    with tape:
        features = tape.cut(trunk(x))
    x.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        tape.gradients([features.sum(), features.square().sum()])


def test_factored_layers_make_no_weight_gradient():
    trunk, heads, x = parts("wide", torch.float32)
    kinds = {type(block) for block in taped(trunk, heads, x).blocks}
    assert kinds == {LinearBlock}
    assert factored_is_cheaper(8, 64, 4096, 128)
    assert not factored_is_cheaper(2, 12544, 384, 384)


def test_deliver_casts_to_the_tensor():
    p = torch.zeros(2, dtype=torch.float32, requires_grad=True)
    deliver(torch.tensor(1.0), [p], [torch.tensor([[1.0], [2.0]]).double()]).backward()
    assert p.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("space", ["parameters", "features"])
@pytest.mark.parametrize("how", ["autocast", "bfloat16"])
def test_half_precision_is_summed_and_squared_in_float32(how, space):
    """Rows and inner products of small gradients, whose squares half precision does not have."""
    trunk, heads, x = parts("wide", torch.float32)
    if how == "bfloat16":
        trunk, heads, x = trunk.bfloat16(), heads.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how == "autocast"):
        tape = TaskTape(trunk.parameters())
        with tape:
            features = tape.cut(trunk(x))
        losses = [1e-25 * head(features).float().square().mean() for head in heads]
        gradients = tape.gradients(losses, private=heads.parameters(), space=space)
    jacobian, gramian = gradients.jacobian(), gradients.gramian()
    assert gramian.dtype == torch.float64
    assert bool((gramian.diagonal() > 0).all())
    assert space == "parameters" or jacobian.dtype == torch.float32
    torch.testing.assert_close(gramian, jacobian.double() @ jacobian.double().T, rtol=2e-2, atol=0)
    gradients.deliver(torch.ones(3)).backward()
    assert all(p.grad.dtype == p.dtype and p.grad.isfinite().all() for p in trunk.parameters())
