import copy

import pytest
import torch
from torch.nn import functional as F

from tlzoo.methods.zeroshot import FeatureGeneration

D, A, C = 6, 4, 5


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(C, A, generator=generator, dtype=torch.float64)
    labels = torch.arange(40) % C
    images = F.normalize(embeddings, dim=1) @ torch.randn(A, D, generator=generator, dtype=torch.float64)
    return images[labels] + 0.1 * torch.randn(40, D, generator=generator).double(), labels, embeddings


def make(**settings):
    torch.manual_seed(1)
    return FeatureGeneration(D, A, **{"hidden": 16, "latent": 3} | settings).double()


@pytest.mark.verdict("zeroshot/feature_generation", against="the loss, item by item, with torch's KL", within=1e-9)
def test_the_loss_against_a_loop(data, equal):
    features, labels, embeddings = data
    method = make()
    noise = torch.randn(40, 3, generator=copy.deepcopy(method.random).next(), dtype=torch.float64)
    total = 0.0
    for i in range(40):
        x, a = F.normalize(features[i], dim=0) * D**0.5, F.normalize(embeddings[labels[i]], dim=0)
        mean, log_variance = method.encoder(torch.cat([x, a])).chunk(2)
        prior = torch.distributions.Normal(torch.zeros(3).double(), 1.0)
        posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        rebuilt = method.decoder(torch.cat([posterior.mean + posterior.stddev * noise[i], a]))
        total += torch.distributions.kl_divergence(posterior, prior).sum() + 0.5 * (x - rebuilt).square().sum()
    equal(method.loss(*data)["loss"].item(), total.item() / 40)


def test_noise_changes_with_the_steps_and_goes_on_from_a_checkpoint(data):
    method, other = make(), make()
    first, second = (method.loss(*data)["loss"].item() for _ in range(2))
    assert first != second
    other.loss(*data)
    resumed = make()
    resumed.load_state_dict(other.state_dict())
    assert resumed.loss(*data)["loss"].item() == second


@pytest.mark.verdict(
    "zeroshot/feature_generation", against="torch's normal distributions of generated features", within=1e-9
)
def test_scores_are_those_of_normal_classes_with_one_covariance(data, equal):
    features, _, embeddings = data
    method = make(generated=12, shrinkage=0.3)
    score = method.bind(embeddings, seen=torch.ones(C).bool())
    z = torch.randn(12, 3, generator=method.random.constant(), dtype=torch.float64)
    drawn = torch.stack(
        [method.decoder(torch.cat([z, F.normalize(a, dim=0).expand(12, -1)], dim=1)).detach() for a in embeddings]
    )
    means = drawn.mean(dim=1)
    centered = (drawn - means[:, None]).flatten(0, 1)
    covariance = centered.T @ centered / (C * 11)
    covariance = 0.7 * covariance + 0.3 * covariance.diagonal().mean() * torch.eye(D).double()
    x = F.normalize(features, dim=1) * D**0.5
    log_densities = torch.stack(
        [torch.distributions.MultivariateNormal(mean, covariance).log_prob(x) for mean in means], dim=1
    )
    equal(score(features).log_softmax(dim=1), log_densities.log_softmax(dim=1))


def test_binding_is_repeatable_and_independent_of_company(data):
    features, _, embeddings = data
    method = make()
    one = method.bind(embeddings, seen=torch.ones(C).bool())(features)
    some = method.bind(embeddings[:2], seen=torch.ones(2).bool())
    again = method.bind(embeddings, seen=torch.ones(C).bool())(features)
    torch.testing.assert_close(one, again, atol=0, rtol=0)
    torch.testing.assert_close(some(features[:1]), some(features)[:1])


def test_it_learns_to_generate(data):
    features, labels, embeddings = data
    method = make()
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        method.loss(*data)["loss"].backward()
        optimizer.step()
    answers = method.bind(embeddings, seen=torch.ones(C).bool())(features).argmax(dim=1)
    assert (answers == labels).double().mean() > 0.9


def test_refusals():
    for setting, value in {"latent": 0, "generated": 1, "shrinkage": 0.0}.items():
        with pytest.raises(ValueError, match=f"{setting} {value}; expected"):
            make(**{setting: value})
