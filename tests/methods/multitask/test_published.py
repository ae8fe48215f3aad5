"""What the papers' code computes, written anew as plain loops."""

import pytest
import torch
from torch import nn

from tlzoo.methods.multitask import (
    DBMTL,
    MGDA,
    AlignedMTL,
    ExcessMTL,
    GradDrop,
    GradNorm,
    NashMTL,
)
from tlzoo.nn.gradients import TaskTape

T, B, D = 3, 5, 4


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def graddrop_by_hand(gradients, values, drawn, leak=0.0):
    """Return the layer's output gradient (B, D) from those of the tasks (T, B, D), for a draw a feature (D,)."""
    result = torch.zeros_like(values)
    for feature in range(values.shape[1]):
        signed = [
            sum(float(values[b, feature].sign() * gradients[t, b, feature]) for b in range(len(values)))
            for t in range(len(gradients))
        ]
        purity = 0.5 * (1 + sum(signed) / sum(map(abs, signed)))
        for t, own in enumerate(signed):
            keep = own > 0 if purity > drawn[feature] else own < 0
            result[:, feature] += (1.0 if keep else leak) * gradients[t, :, feature]
    return result


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.verdict("multitask/graddrop", against="the paper's algorithm, given its draws", within=1e-12)
def test_graddrop_at_features_is_that_of_the_paper(seed, leak, monkeypatch, equal):
    gradients, values, drawn = normal(T, B, D, seed=seed), normal(B, D, seed=seed + 50), torch.rand(D).double()
    monkeypatch.setattr(torch, "rand", lambda *_, **__: drawn)
    found = GradDrop(T, leak=leak).direction(gradients.flatten(1), features=[values])
    equal(found.view(B, D), graddrop_by_hand(gradients, values, drawn, leak))


def test_graddrop_at_features_has_one_mask_a_feature():
    """Of opposite gradients one survives at a feature, and then in all examples."""
    gradients = torch.stack([torch.ones(B, 200), -torch.ones(B, 200)]).double()
    values = normal(B, 1).abs().expand(B, 200)
    method = GradDrop(2)
    kept = method.direction(gradients.flatten(1), features=[values]).view(B, 200)
    assert bool((kept == kept[0]).all())
    assert 0.3 < float((kept[0] > 0).double().mean()) < 0.7
    elsewhere = GradDrop(2).direction(gradients.flatten(1)).view(B, 200)
    assert not bool((elsewhere == elsewhere[0]).all())


def test_graddrop_at_features_looks_at_the_sign_of_features():
    """A gradient that shrinks all features agrees in sign with x, whatever the sign of each entry is."""
    values = normal(B, 40)
    agreeing = torch.stack([values.sign(), 2 * values.sign()])
    found = GradDrop(2).direction(agreeing.flatten(1), features=[values]).view(B, 40)
    torch.testing.assert_close(found, 3 * values.sign())


def test_graddrop_takes_maps_and_several_results():
    features = [normal(B, 2, 3, 3), normal(B, D, seed=1)]
    jacobian = normal(T, sum(part.numel() for part in features), seed=2)
    method = GradDrop(T)
    again = GradDrop(T)
    again.load_state_dict(method.state_dict())
    found = method.direction(jacobian, features=features)
    assert found.shape == jacobian.shape[1:]
    # a map is as good as its flattened features
    flat = [part.flatten(1) for part in features]
    torch.testing.assert_close(again.direction(jacobian, features=flat), found)
    with pytest.raises(ValueError, match="expected one column an entry"):
        method.direction(jacobian[:, 1:], features=features)


@pytest.mark.parametrize("seed", range(4))
def test_excess_mtl_at_features_is_that_of_the_authors(seed):
    """Squares are of gradients that are summed over the batch, whose size may change."""
    method = ExcessMTL(T, step_size=0.5)
    squares, weights, first = torch.zeros(T, D).double(), torch.ones(T).double(), None
    for step, size in enumerate((5, 3, 7, 5)):
        gradients, values = normal(T, size, D, seed=10 * seed + step), normal(size, D)
        summed = gradients.sum(dim=1)
        squares += summed**2
        risks = torch.stack([row / (own + 1e-7).sqrt() @ row for row, own in zip(summed, squares, strict=True)])
        if first is None:
            first = risks
        else:
            weights = weights * (0.5 * risks / first).exp()
            weights = T * weights / weights.sum()
        found = method.direction(gradients.flatten(1), features=[values])
        torch.testing.assert_close(found, weights @ gradients.flatten(1), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(method.private_weights(None).double(), weights, rtol=1e-5, atol=1e-5)
        assert ExcessMTL(T, heads="own").private_weights(None) is None


def test_db_mtl_at_features_brings_the_gradients_of_the_batch_to_one_length():
    method = DBMTL(T)
    for size in (5, 3, 7):
        jacobian = normal(T, size * D, seed=size)
        lengths = jacobian.norm(dim=1, keepdim=True)
        found = method.direction(jacobian, features=[normal(size, D)])
        torch.testing.assert_close(found, (lengths.max() * jacobian / lengths).sum(dim=0))


@pytest.mark.parametrize("normalization", ["l2", "loss", "loss+"])
@pytest.mark.parametrize("seed", range(3))
def test_mgda_of_raw_gradients_weighs_them_by_what_it_found_for_normalized_ones(normalization, seed):
    jacobian, losses = normal(T, D, seed=seed), normal(T, seed=seed + 9).abs()
    divisors = {"l2": jacobian.norm(dim=1), "loss": losses, "loss+": losses * jacobian.norm(dim=1)}[normalization]
    scaled = jacobian / divisors[:, None]
    found = MGDA(T, normalization=normalization, applied_to="raw").weights(losses, jacobian @ jacobian.T)
    torch.testing.assert_close(found, MGDA(T).weights(losses, scaled @ scaled.T))
    assert float(found.sum()) == pytest.approx(1)
    usual = MGDA(T, normalization=normalization).weights(losses, jacobian @ jacobian.T)
    torch.testing.assert_close(usual, found / divisors)
    gains = scaled @ (usual @ jacobian)
    assert float(gains.min()) >= float((usual @ jacobian).square().sum()) * (1 - 1e-9)  # no task loses


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
@pytest.mark.verdict("multitask/aligned_mtl", against="the authors' code, restated", within=1e-12)
def test_aligned_mtl_of_sums_is_that_of_the_authors(scale, equal):
    jacobian = normal(T, 9)
    u, s, vt = torch.linalg.svd(jacobian, full_matrices=False)
    sigma = {"min": s.min(), "median": s.square().median().sqrt(), "rmse": s.square().mean().sqrt()}[scale]
    for reduction, expected in {"sum": sigma * (u @ vt).sum(dim=0), "mean": sigma * (u @ vt).mean(dim=0)}.items():
        method = AlignedMTL(T, scale=scale, reduction=reduction)
        found = method.weights(torch.ones(T).double(), jacobian @ jacobian.T) @ jacobian
        equal(found, expected)


def heads_of(method, space="parameters"):
    """Return the gradients of three heads after a step, divided by those of their own losses."""
    torch.manual_seed(0)
    trunk, heads = nn.Linear(6, 5).double(), nn.ModuleList(nn.Linear(5, 1) for _ in range(T)).double()
    for factors in (torch.ones(T), torch.tensor([1.0, 2, 3])):
        tape = TaskTape(trunk.parameters())
        with tape:
            features = tape.cut(trunk(normal(8, 6)).tanh())
        losses = [c * head(features).square().mean() for c, head in zip(factors, heads, strict=True)]
        gradients = tape.gradients(losses, private=heads.parameters(), space=space)
        constants = torch.stack(losses).detach()
        if method.order == "jacobian":
            direction = method.direction(gradients.jacobian(), features=gradients.features())
            total = gradients.deliver_direction(direction, private=method.private_weights(None))
        else:
            weights = method.weights(constants, gradients.gramian())
            total = gradients.deliver(weights, private=method.private_weights(weights))
        heads.zero_grad()
        total.backward()
    found = torch.stack([head.weight.grad for head in heads])
    again = sum(c * head(features).square().mean() for c, head in zip(factors, heads, strict=True))
    own = torch.autograd.grad(again, [head.weight for head in heads])
    ratios = found / torch.stack(own)
    torch.testing.assert_close(ratios, ratios[:, :, :1].expand_as(ratios))
    return ratios[:, 0, 0]


@pytest.mark.parametrize("space", ["parameters", "features"])
def test_heads_follow_weighted_losses_where_the_paper_says_so(space):
    for cls in (ExcessMTL, GradNorm, NashMTL):
        own = heads_of(cls(T, heads="own").double(), space)
        torch.testing.assert_close(own, torch.ones(T).double())
    excess = ExcessMTL(T, step_size=0.5).double()
    weights = heads_of(excess, space)
    torch.testing.assert_close(weights, T * excess.get_buffer("log_weights").exp())
    assert float(weights.sum()) == pytest.approx(T)
    assert float((weights - 1).abs().max()) > 1e-2
    norm = GradNorm(T).double()
    with torch.no_grad():
        norm.logits.copy_(torch.tensor([0.5, 0.0, -1.0]))
    torch.testing.assert_close(heads_of(norm, space), T * norm.logits.detach().softmax(dim=0))
    torch.testing.assert_close(heads_of(NashMTL(T), space), torch.ones(T).double())
    assert float((heads_of(NashMTL(T, heads="weighted"), space) - 1).abs().min()) > 1e-2


def test_defaults_of_heads():
    assert [cls(T).heads for cls in (ExcessMTL, GradNorm, NashMTL, MGDA)] == ["weighted", "weighted", "own", "own"]
    for cls in (ExcessMTL, GradNorm, NashMTL):
        with pytest.raises(ValueError, match="unknown heads"):
            cls(T, heads="both")
    with pytest.raises(ValueError, match="unknown applied_to"):
        MGDA(T, applied_to="x")
    with pytest.raises(ValueError, match="unknown reduction"):
        AlignedMTL(T, reduction="x")
