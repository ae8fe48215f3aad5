"""Meta-learners on networks of every kind: what they compute, and what is said of those that run one by one."""

import copy
import pickle
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from tlzoo.methods.oneshot import ANIL, FOMAML, MAML, MetaSGD, Reptile

WAY, EPISODES, WIDTH = 3, 2, 8
SUPPORT, QUERY = torch.arange(WAY).repeat(EPISODES, 2), torch.arange(WAY).repeat(EPISODES, 1)
LEARNERS = {cls.__name__: cls for cls in (MAML, FOMAML, ANIL, MetaSGD, Reptile)}


class Recurrent(nn.Module):
    def __init__(self, cls, **settings):
        super().__init__()
        self.layers = cls(2, 6, batch_first=True, **settings)

    def forward(self, inputs):
        return self.layers(inputs.unflatten(1, (4, 2)))[0][:, -1, :6]


class Attending(nn.Module):
    """Attention as a user writes it."""

    def __init__(self):
        super().__init__()
        self.mapped = nn.Linear(4, 12)

    def forward(self, inputs):
        q, k, v = self.mapped(inputs.unflatten(1, (2, 4))).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v).flatten(1)[:, :6]


class Deciding(nn.Module):
    """Control flow that depends on values."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(WIDTH, 6)

    def forward(self, inputs):
        outputs = self.layer(inputs)
        return outputs.tanh() if outputs.detach().sum().item() > 0 else 2 * outputs


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.auxiliary, self.values = nn.Linear(WIDTH, 6), nn.Linear(3, 3), nn.Parameter(torch.ones(2))

    def forward(self, inputs):
        return self.used(inputs).tanh()


class FrozenStem(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.last = nn.Linear(WIDTH, 5).requires_grad_(False), nn.Linear(5, 6)

    def forward(self, inputs):
        return self.last(self.stem(inputs).tanh()).tanh()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 6)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.last(self.second(self.first(inputs).tanh()).tanh())


def encoder(dropout):
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)
    encoders = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Unflatten(1, (2, 4)), encoders, nn.Flatten(), nn.Linear(8, 6))


AT_ONCE = {
    "layers": lambda: nn.Sequential(nn.Linear(WIDTH, 6), nn.LayerNorm(6), nn.GELU()),
    "transformer": lambda: encoder(0.0),
    "transformer in evaluation": lambda: encoder(0.1).eval(),
    "attention": Attending,
    "group norm": lambda: nn.Sequential(nn.Linear(WIDTH, 6), nn.GroupNorm(2, 6), nn.Tanh()),
    "unused": Unused,
    "frozen": FrozenStem,
    "tied": Tied,
    "frozen batch norm": lambda: nn.Sequential(nn.Linear(WIDTH, 6), nn.BatchNorm1d(6)).eval(),
}
ONE_BY_ONE = {
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU, num_layers=2),
    "rnn": lambda: Recurrent(nn.RNN),
    "two ways": lambda: Recurrent(nn.LSTM, bidirectional=True),
    "control flow": Deciding,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, 6)),
}
RANDOM = {
    "dropout": lambda: nn.Sequential(nn.Linear(WIDTH, 6), nn.ReLU(), nn.Dropout(0.5)),
    "transformer with dropout": lambda: encoder(0.1),
    "lstm with dropout": lambda: Recurrent(nn.LSTM, num_layers=2, dropout=0.3),
    "noise": lambda: nn.Sequential(nn.Linear(WIDTH, 6), Noise()),
    "alpha dropout": lambda: nn.Sequential(nn.Linear(WIDTH, 6), nn.SELU(), nn.AlphaDropout(0.2)),
}


class Noise(nn.Module):
    def forward(self, inputs):
        return inputs + 0.1 * torch.randn_like(inputs)


def network(kind):
    torch.manual_seed(0)
    body = {**AT_ONCE, **ONE_BY_ONE, **RANDOM}[kind]()
    return nn.Sequential(OrderedDict(backbone=body, head=nn.Linear(6, WAY))).double()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def episodes():
    return normal(EPISODES, 2 * WAY, WIDTH), normal(EPISODES, WAY, WIDTH, seed=1)


def by_hand(model, *, steps, first_order, head_alone=False):
    """Return the meta-gradient of MAML, episode after episode, and its answers."""
    support, query = episodes()
    total, answers = 0.0, []
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for items, labels, queries, wanted in zip(support, SUPPORT, query, QUERY, strict=True):
            own = {name: p for name, p in model.named_parameters() if p.requires_grad}
            for _ in range(steps):
                loss = F.cross_entropy(functional_call(model, own, (items,)), labels)
                moving = [name for name in own if not head_alone or name.startswith("head.")]
                slopes = torch.autograd.grad(
                    loss, [own[name] for name in moving], create_graph=not first_order, allow_unused=True
                )
                moved = {n: own[n] - 0.1 * s for n, s in zip(moving, slopes, strict=True) if s is not None}
                own = {**own, **moved}
            answers.append(functional_call(model, own, (queries,)))
            total = total + F.cross_entropy(answers[-1], wanted) / EPISODES
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    return torch.stack(answers).detach(), gradients


def objective(method, model):
    support, query = episodes()
    return method.objective(model, support, SUPPORT, query, QUERY, way=WAY)


@pytest.mark.filterwarnings("ignore:.*cannot run for all episodes at once")
@pytest.mark.parametrize("name", ["MAML", "FOMAML", "ANIL", "MetaSGD"])
@pytest.mark.parametrize("kind", [*AT_ONCE, *ONE_BY_ONE])
def test_meta_gradients_are_those_by_hand(kind, name):
    model = network(kind)
    # queries in a batch of their own, as by hand
    method = LEARNERS[name](rate=0.1, steps=2, statistics="batch")
    method.prepare(model)
    settings = {"first_order": name == "FOMAML", "head_alone": name == "ANIL"}
    answers, gradients = by_hand(copy.deepcopy(model), steps=2, **settings)
    found = method(model, *episodes()[:1], SUPPORT, episodes()[1], way=WAY)
    torch.testing.assert_close(found.detach(), answers, rtol=0, atol=1e-12)
    objective(method, model).backward()
    for p, expected in zip((p for p in model.parameters() if p.requires_grad), gradients, strict=True):
        if expected is None:
            assert p.grad is None
        else:
            torch.testing.assert_close(p.grad, expected, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*cannot run for all episodes at once")
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("kind", RANDOM)
def test_random_layers_train_and_answer(kind, name):
    model = network(kind)
    method = LEARNERS[name](rate=0.1, steps=2)
    method.prepare(model)
    losses = {float(objective(method, model).detach()) for _ in range(3)}
    assert len(losses) == 3
    objective(method, model).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    support, query = episodes()
    first, second = (method(model, support, SUPPORT, query, way=WAY) for _ in range(2))
    assert kind == "noise" or torch.equal(first, second)


@pytest.mark.parametrize("kind", ["dropout", "transformer with dropout"])
def test_each_episode_draws_its_own_noise(kind):
    """Two equal episodes, of which each drops other units."""
    model = network(kind)
    support, query = (part[:1].expand(2, *part.shape[1:]) for part in episodes())
    labels = SUPPORT[:1].expand(2, -1)
    first, second = MAML(rate=0.1, steps=1)(model, support, labels, query, way=WAY)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", ONE_BY_ONE)
def test_one_warning_says_that_episodes_run_one_by_one(kind):
    method = MAML(rate=0.1, steps=2)
    with pytest.warns(UserWarning, match="MAML: Sequential cannot run for all episodes at once"):
        objective(method, network(kind)).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(method, network(kind)).backward()


@pytest.mark.parametrize("kind", [*AT_ONCE, "dropout", "transformer with dropout"])
def test_others_run_at_once_in_silence(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cls in LEARNERS.values():
            method, model = cls(rate=0.1, steps=1), network(kind)
            method.prepare(model)
            objective(method, model).backward()


@pytest.mark.filterwarnings("ignore:.*cannot run for all episodes at once")
def test_a_run_that_goes_on_draws_what_one_without_a_stop_draws():
    """The first attempt, at all episodes at once, leaves the random state alone: dropout stands before the LSTM."""
    model = network("lstm")
    model[0] = nn.Sequential(nn.Dropout(0.5), model[0])
    whole = MAML(rate=0.1, steps=1)
    objective(whole, model)
    state = torch.get_rng_state()
    expected = objective(whole, model)
    torch.set_rng_state(state)
    assert torch.equal(objective(MAML(rate=0.1, steps=1), model), expected)


def test_a_mistake_in_the_network_is_told_as_it_is():
    model = nn.Sequential(OrderedDict(backbone=nn.Linear(WIDTH + 1, 6), head=nn.Linear(6, WAY))).double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            objective(MAML(), model)


@pytest.mark.filterwarnings("ignore:.*cannot run for all episodes at once")
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("kind", ["layers", "lstm", "transformer", "unused"])
def test_answers_without_gradient_are_the_same(kind, name, context):
    model = network(kind)
    method = LEARNERS[name](rate=0.1, steps=2)
    method.prepare(model)
    support, query = episodes()
    expected = method(model, support, SUPPORT, query, way=WAY).detach()
    with context():
        inside = [part * 1 for part in (support, query)]  # made under that mode
        found = method(model, inside[0], SUPPORT * 1, inside[1], way=WAY)
        loss = method.objective(model, inside[0], SUPPORT * 1, inside[1], QUERY * 1, way=WAY)
    assert not found.requires_grad
    assert not loss.requires_grad
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(loss, objective(method, model).detach(), rtol=0, atol=1e-12)


def test_a_network_made_under_inference_mode_is_refused():
    with torch.inference_mode():
        model = network("layers")
    with pytest.raises(ValueError, match=r"backbone.0.weight was made under torch.inference_mode"):
        objective(MAML(), model)


def test_nothing_of_it_stands_in_the_way_of_copies():
    method = MAML(rate=0.1, steps=1)
    with pytest.warns(UserWarning, match="cannot run"):
        objective(method, network("lstm"))
    for again in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        torch.testing.assert_close(objective(again, network("lstm")), objective(method, network("lstm")))


class TestValues:
    """Regression: sine waves of another amplitude an episode, as in the paper."""

    @staticmethod
    def waves(size, seed):
        generator = torch.Generator().manual_seed(seed)
        amplitude = 1 + 4 * torch.rand(6, 1, 1, generator=generator, dtype=torch.float64)
        x = 10 * torch.rand(6, size, 1, generator=generator, dtype=torch.float64) - 5
        return x, amplitude * x.sin()

    @staticmethod
    def model():
        torch.manual_seed(0)
        return nn.Sequential(
            OrderedDict(backbone=nn.Sequential(nn.Linear(1, 20), nn.Tanh()), head=nn.Linear(20, 1))
        ).double()

    @pytest.mark.parametrize("name", LEARNERS)
    def test_it_learns_to_learn(self, name):
        model, method = self.model(), LEARNERS[name](rate=0.02, steps=3, loss="mse").double()
        method.prepare(model)
        optimizer = torch.optim.Adam([*model.parameters(), *method.parameters()], lr=0.02)
        x, y = self.waves(20, 0)
        split = {"support": x[:, :10], "support_labels": y[:, :10, 0], "query": x[:, 10:]}

        @torch.no_grad()
        def error():
            return (method(model, **split, way=1).squeeze(2) - y[:, 10:, 0]).square().mean().item()

        before = error()
        for _ in range(60):
            optimizer.zero_grad()
            method.objective(model, **split, query_labels=y[:, 10:, 0], way=1).backward()
            optimizer.step()
        assert error() < 0.8 * before

    @pytest.mark.parametrize("steps", [1, 3])
    def test_meta_gradients_are_those_by_hand(self, steps):
        model, (x, y) = self.model(), self.waves(20, 0)
        method = MAML(rate=0.02, steps=steps, loss="mse")
        found = method.objective(model, x[:, :10], y[:, :10, 0], x[:, 10:], y[:, 10:, 0], way=1)
        found.backward()
        total = 0.0
        twin = copy.deepcopy(model)
        for items, values in zip(x, y, strict=True):
            own = {name: p * 1 for name, p in twin.named_parameters()}
            for _ in range(steps):
                loss = (functional_call(twin, own, (items[:10],)) - values[:10]).square().mean()
                slopes = torch.autograd.grad(loss, list(own.values()), create_graph=True)
                own = {name: p - 0.02 * s for (name, p), s in zip(own.items(), slopes, strict=True)}
            total = total + (functional_call(twin, own, (items[10:],)) - values[10:]).square().mean() / len(x)
        for p, expected in zip(model.parameters(), torch.autograd.grad(total, list(twin.parameters())), strict=True):
            torch.testing.assert_close(p.grad, expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(found.detach(), total.detach())

    def test_labels_as_wide_as_outputs_and_losses_of_ones_own(self):
        model, (x, y) = self.model(), self.waves(20, 0)
        parts = (x[:, :10], y[:, :10], x[:, 10:], y[:, 10:])
        flat = (x[:, :10], y[:, :10, 0], x[:, 10:], y[:, 10:, 0])
        expected = MAML(loss="mse").objective(model, *flat, way=1)
        torch.testing.assert_close(MAML(loss="mse").objective(model, *parts, way=1), expected)
        torch.testing.assert_close(MAML(loss=nn.MSELoss()).objective(model, *flat, way=1), expected)
        summed = MAML(rate=0.001, loss=nn.MSELoss(reduction="sum")).objective(model, *flat, way=1)
        torch.testing.assert_close(summed, 10 * MAML(rate=0.01, loss="mse").objective(model, *flat, way=1))
        assert MAML(loss=F.huber_loss).objective(model, *flat, way=1) < expected

    def test_a_loss_of_classes(self):
        model, (support, query) = network("layers"), episodes()
        smoothed = MAML(loss=nn.CrossEntropyLoss(label_smoothing=0.1))
        own = MAML(loss=F.cross_entropy)
        given = (support, SUPPORT, query, QUERY)
        expected = MAML().objective(model, *given, way=WAY)
        torch.testing.assert_close(own.objective(model, *given, way=WAY), expected)
        assert not torch.allclose(smoothed.objective(model, *given, way=WAY), expected)

    def test_refusals(self):
        model, (x, y) = self.model(), self.waves(20, 0)
        with pytest.raises(ValueError, match="unknown loss"):
            MAML(loss="mae")
        with pytest.raises(ValueError, match="query_labels have shape"):
            MAML(loss="mse").objective(model, x[:, :10], y[:, :10, 0], x[:, 10:], y[:, 11:, 0], way=1)
        with pytest.raises(ValueError, match="support, support_labels and query have shapes"):
            MAML(loss="mse")(model, x[:, :10], y[:, :9, 0], x[:, 10:], way=1)
