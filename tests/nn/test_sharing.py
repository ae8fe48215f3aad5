import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.nn.sharing import CGC, MTAN, PLE, SHARING, CrossStitch, DSelectK, MMoE, NoSharing
from tlzoo.nn.sharing.dselect_k import smooth_step

TASKS = ("a", "b", "shared")
SMALL = {
    "hard": {"bottleneck": 6},
    "none": {},
    "cross_stitch": {},
    "mmoe": {"width": 6},
    "cgc": {"width": 6},
    "ple": {"width": 6},
    "mtan": {},
    "dselect_k": {"width": 6},
}


def made(name, backbone=None, **settings):
    torch.manual_seed(0)
    backbone = create_backbone("mlp", num_inputs=5, hidden=[8, 7]) if backbone is None else backbone
    return SHARING[name](backbone, TASKS, **{**SMALL[name], **settings})


@pytest.mark.parametrize("name", SHARING)
def test_features_for_every_task(name):
    sharing = made(name)
    found = sharing(torch.randn(4, 5))
    assert list(found) == list(TASKS)
    assert all(features.shape == (4, sharing.num_features) for features in found.values())
    shared = {id(p) for p in sharing.shared_parameters()}
    assert shared <= {id(p) for p in sharing.parameters()}
    assert {id(p) for p in sharing.pretrained().parameters()} <= {id(p) for p in sharing.parameters()}


@pytest.mark.parametrize("name", SHARING)
def test_a_task_trains_no_private_part_of_another(name):
    sharing = made(name)
    shared = {id(p) for p in sharing.shared_parameters()}
    touched = {}
    for task, features in sharing(torch.randn(6, 5)).items():
        gradients = torch.autograd.grad(
            features.square().sum(), list(sharing.parameters()), allow_unused=True, retain_graph=True
        )
        touched[task] = {
            id(p) for p, g in zip(sharing.parameters(), gradients, strict=True) if g is not None and id(p) not in shared
        }
    private = [set(ids) for ids in touched.values()]
    assert len(set().union(*private)) == sum(map(len, private))


@pytest.mark.parametrize("name", SHARING)
def test_everything_is_trained_by_some_task(name):
    sharing = made(name)
    sum(features.square().sum() for features in sharing(torch.randn(16, 5)).values()).backward()
    assert all(p.grad is not None for p in sharing.parameters())


@pytest.mark.parametrize("name", ["cross_stitch", "mtan"])
def test_between_the_layers_of_a_convolutional_network(name):
    backbone = create_backbone("lenet", dropout=0.0)
    sharing = made(name, backbone)
    found = sharing(torch.randint(256, (3, 32, 32, 1), dtype=torch.uint8))
    assert all(features.shape == (3, 500) for features in found.values())


def test_parts_between_layers_ask_for_a_composition():
    backbone = create_backbone("identity", num_features=5)
    backbone.composable = False
    for name in ("cross_stitch", "mtan"):
        with pytest.raises(ValueError, match="needs access between the layer groups"):
            made(name, backbone)
    backbone.composable = True
    with pytest.raises(ValueError, match="attends to trained layers"):
        made("mtan", backbone)


def test_cross_stitch_without_mixing_is_the_backbone():
    torch.manual_seed(0)
    backbone = create_backbone("mlp", num_inputs=5, hidden=[8, 7])
    x = torch.randn(4, 5)
    for features in CrossStitch(backbone, ("a", "b"), own=1.0)(x).values():
        torch.testing.assert_close(features, backbone(x))
    mixed = CrossStitch(backbone, ("a", "b"), own=0.7)
    torch.testing.assert_close(mixed.stitches[0].detach(), torch.tensor([[0.7, 0.3], [0.3, 0.7]]))
    torch.testing.assert_close(mixed(x)["a"], backbone(x))  # copies are equal at the start, and rows sum to 1


def test_mmoe_of_equal_gates_is_the_mean_of_the_experts():
    sharing = made("mmoe", experts=4)
    for gate in sharing.gates.values():
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)
    x = torch.randn(4, 5)
    _, experts = sharing.shared(x)
    assert experts.shape == (4, 4, 6)
    torch.testing.assert_close(sharing(x)["a"], experts.mean(dim=1))


def test_ple_of_one_level_is_cgc():
    one, other = made("ple", levels=1), made("cgc")
    x = torch.randn(4, 5)
    torch.testing.assert_close(one(x), other(x))


def test_ple_shares_all_below_the_last_level():
    sharing = made("ple", levels=2)
    private = [
        name for name, p in sharing.named_parameters() if id(p) not in {id(q) for q in sharing.shared_parameters()}
    ]
    assert private
    assert all(name.startswith("last.") for name in private)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_smooth_step(gamma):
    x = torch.linspace(-2, 2, 401, dtype=torch.float64).requires_grad_()
    y = smooth_step(x, gamma)
    y.sum().backward()
    outside = x.detach().abs() >= gamma / 2
    assert torch.equal(y.detach()[outside], (x.detach()[outside] > 0).double())
    assert bool((x.grad >= 0).all())
    assert float(x.grad[outside].abs().max()) <= 1e-9
    torch.testing.assert_close(y + y.flip(0), torch.ones_like(y))


def test_dselect_k_weights_are_a_mixture_and_end_in_k_experts():
    sharing = made("dselect_k", experts=8, selected=2)
    features = torch.randn(5, 7)
    weights = sharing.weights(features, "a")
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5))
    assert bool((weights > 0).all())
    gate = sharing.digits["a"]
    nn.init.constant_(gate.bias, 0.0)
    with torch.no_grad():
        gate.bias.copy_(torch.tensor([9.0, -9, -9, 9, 9, -9]))
    selected = sharing.weights(features, "a")
    # the digits, lowest first: 1 0 0 is expert 1, and 1 1 0 is expert 3
    assert torch.equal(selected > 0, torch.tensor([0, 1, 0, 1, 0, 0, 0, 0]).bool().expand(5, 8))


def test_mtan_picks_between_nothing_and_everything():
    sharing = made("mtan")
    x = torch.randn(4, 5)
    outputs = sharing.shared(x)
    picked = sharing.private(outputs, "a")
    assert bool((picked.abs() <= outputs[-1].abs()).all())
    assert not torch.equal(picked, sharing.private(outputs, "b"))


def test_hard_sharing_gives_all_tasks_the_same():
    sharing = made("hard")
    found = sharing(torch.randn(4, 5))
    assert len({id(features) for features in found.values()}) == 1
    assert not NoSharing(create_backbone("mlp", num_inputs=5), ("a",), bottleneck=3).shared_parameters()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: MMoE(b, ("a",), experts=0), "0 experts"),
        (lambda b: DSelectK(b, ("a",), experts=3), "power of 2"),
        (lambda b: DSelectK(b, ("a",), experts=4, selected=5), "at most as many"),
        (lambda b: PLE(b, ("a",), levels=0), "0 levels"),
        (lambda b: CGC(b, ("a",), experts=0), "of 0 experts"),
        (lambda b: CrossStitch(b, ("a",), own=2.0), "own 2.0"),
        (lambda b: MTAN(b, ("a",), reduction=0.0), "reduction"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make(create_backbone("mlp", num_inputs=5))


@pytest.mark.parametrize("name", ["hard", "none", "mmoe", "cgc", "ple", "dselect_k"])
def test_on_maps_it_does_at_every_position_what_it_does_on_vectors(name):
    """A map whose positions are alike gives that vector at every position."""
    torch.manual_seed(0)
    backbone = create_backbone(nn.Conv2d(3, 6, 1), num_features=6)
    settings = {"hard": {"bottleneck": 6}, "none": {"bottleneck": 6}}.get(name, SMALL[name])
    sharing = SHARING[name](backbone, TASKS, **settings)
    vectors = torch.randn(4, 3, 1, 1)
    for task, features in sharing(vectors.expand(4, 3, 2, 5)).items():
        alone = sharing(vectors)[task]
        assert features.shape == (4, sharing.num_features, 2, 5)
        torch.testing.assert_close(features, alone.expand_as(features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mmoe", "cgc", "ple", "dselect_k"])
def test_a_map_of_one_position_is_a_vector(name):
    torch.manual_seed(0)
    sharing = SHARING[name](create_backbone(nn.Identity(), num_features=6), TASKS, **SMALL[name])
    vectors = torch.randn(4, 6)
    for task, features in sharing(vectors[:, :, None, None]).items():
        torch.testing.assert_close(features.flatten(1), sharing(vectors)[task])
