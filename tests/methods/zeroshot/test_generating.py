"""Features and latents made for unseen classes: each method against its authors' training loop, restated."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.methods.zeroshot import CADAVAE, FCLSWGAN, FVAEGAN, TFVAEGAN

D, A, SEEN, UNSEEN, N = 6, 4, 3, 2, 12
GAN = {"generator_hidden": 8, "critic_hidden": 7, "steps": 3, "batch_size": 5, "critic_steps": 2, "lr": 0.01}
GAN |= {"pretraining_epochs": 2, "generated_per_class": 5, "classifier_epochs": 3, "classifier_batch": 8}
VAE = {"latent": 3, "feature_hidden": (8, 7), "embedding_hidden": (6, 5), "epochs": 8, "batch_size": 5, "lr": 0.01}
VAE |= {"seen_per_class": 6, "generated_per_class": 5, "classifier_epochs": 3, "classifier_batch": 8}


@pytest.fixture(scope="module")
def data():
    """Features, labels and embeddings of seen classes, and embeddings of unseen ones."""
    torch.manual_seed(0)
    embeddings = torch.randn(SEEN + UNSEEN, A).double()
    labels = torch.arange(N) % SEEN
    features = (embeddings[labels] @ torch.randn(A, D).double() + 0.3 * torch.randn(N, D)).relu() + 1
    return features, labels, embeddings[:SEEN], embeddings[SEEN:]


def made(cls, settings, data):
    """A method after its fit, and the generators of fit and binding."""
    torch.manual_seed(1)
    method = cls(D, A, **settings).double()
    streams = copy.deepcopy(method.random)
    return method.fit(*data[:3]), streams.next(), streams.constant()


def scaled(features):
    low, high = features.min(0).values, features.max(0).values
    return (features - low) / (high - low)


def unit(embeddings):
    return embeddings / embeddings.norm(dim=1, keepdim=True)


def linear(inputs, outputs, draw, generator):
    layer = nn.Linear(inputs, outputs).double()
    draw(layer.weight, generator)
    nn.init.zeros_(layer.bias)
    return layer


def gaussian(weight, generator):
    nn.init.normal_(weight, 0, 0.02, generator=generator)


def glorot(weight, generator):
    nn.init.xavier_uniform_(weight, gain=0.5, generator=generator)


def softmax(points, labels, classes, draw, generator, *, epochs, batch):
    """LINEAR_LOGSOFTMAX of both authors' code, with torch's autograd."""
    layer = linear(points.shape[1], classes, draw, generator)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.001, betas=(0.5, 0.999))
    for _ in range(epochs):
        order = torch.randperm(len(points), generator=generator)
        for start in range(0, len(points), batch):
            some = order[start : start + batch]
            optimizer.zero_grad()
            F.nll_loss(layer(points[some]).log_softmax(1), labels[some]).backward()
            optimizer.step()
    return layer


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class Gan:
    """The loop of clswgan.py."""

    def __init__(self, x, y, a, g):
        draw = gaussian
        self.generator = nn.Sequential(linear(2 * A, 8, draw, g), nn.LeakyReLU(0.2), linear(8, D, draw, g), nn.ReLU())
        critic = nn.Sequential(linear(D + A, 7, draw, g), nn.LeakyReLU(0.2), linear(7, 1, draw, g))
        classifier = softmax(x, y, SEEN, draw, g, epochs=2, batch=100)
        optimize_d = torch.optim.Adam(critic.parameters(), lr=0.01, betas=(0.5, 0.999))
        optimize_g = torch.optim.Adam(self.generator.parameters(), lr=0.01, betas=(0.5, 0.999))

        def judged(features, att):
            return critic(torch.cat((features, att), 1)).mean()

        for _ in range(3):
            for _ in range(2):
                some = torch.randperm(N, generator=g)[:5]
                real, att = x[some], a[y[some]]
                optimize_d.zero_grad()
                (-judged(real, att)).backward()
                fake = self.fake(att, g).detach()
                judged(fake, att).backward()
                alpha = torch.rand(5, 1, generator=g, dtype=torch.float64).expand(5, D)
                mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
                scores = critic(torch.cat((mixed, att), 1))
                (slopes,) = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True)
                (((slopes.norm(2, dim=1) - 1) ** 2).mean() * 10).backward()
                optimize_d.step()
            optimize_g.zero_grad()
            fake = self.fake(att, g)
            (-judged(fake, att) + 0.01 * F.cross_entropy(classifier(fake), y[some])).backward()
            optimize_g.step()

    def fake(self, att, generator):
        return self.generator(torch.cat((normal(len(att), A, generator=generator), att), 1))


@pytest.mark.verdict("zeroshot/f_clswgan", against="the authors' training loop, restated", within=1e-9)
@pytest.mark.parametrize("generalized", [True, False])
def test_f_clswgan(equal, data, generalized):
    features, labels, seen, unseen = data
    method, training, binding = made(FCLSWGAN, GAN, data)
    x = scaled(features)
    gan = Gan(x, labels, unit(seen), training)
    with torch.no_grad():
        points = gan.fake(unit(unseen).repeat_interleave(5, 0), binding)
    made_up = torch.arange(UNSEEN).repeat_interleave(5)
    classes, candidates = UNSEEN, unseen
    if generalized:
        classes, candidates = SEEN + UNSEEN, torch.cat([seen, unseen])
        points, made_up = torch.cat([x, points]), torch.cat([labels, SEEN + made_up])
    layer = softmax(points, made_up, classes, gaussian, binding, epochs=3, batch=8)
    score = method.bind(candidates, seen=torch.arange(classes) < classes - UNSEEN)
    equal(score(features), layer(x).detach())


class VaeGan:
    """The loop of train_tfvaegan_inductive.py; without its feedback and its decoder, with noise, f-VAEGAN-D2's."""

    def __init__(self, x, y, a, g, *, transformed):
        def two(inputs, hidden, outputs):
            return nn.Sequential(
                linear(inputs, hidden, gaussian, g), nn.LeakyReLU(0.2), linear(hidden, outputs, gaussian, g)
            )

        self.transformed, self.g, self.steps = transformed, g, 0
        self.net_g, self.net_d = two(2 * A, 8, D), two(D + A, 7, 1)
        self.net_e = nn.ModuleList([two(D + A, 8, 2 * A), *(linear(2 * A, A, gaussian, g) for _ in range(2))])
        if transformed:
            self.net_dec, self.net_f = two(D, 8, A), two(8, 8, 8)
        gamma, penalty = (10, 10.0) if transformed else (1000, 10.0)
        optimizer_e = torch.optim.Adam(self.net_e.parameters(), lr=0.01)
        optimizer_d, optimizer_g = (
            torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.5, 0.999)) for net in (self.net_d, self.net_g)
        )
        if transformed:
            optimizer_f = torch.optim.Adam(self.net_f.parameters(), lr=1e-5, betas=(0.5, 0.999))
            optimizer_dec = torch.optim.Adam(self.net_dec.parameters(), lr=1e-4, betas=(0.5, 0.999))
        for step in range(5):
            feedback, slopes = transformed and step // 3 % 2 == 1, 0
            for _ in range(2):
                some = torch.randperm(N, generator=g)[:5]
                real, att = x[some], a[y[some]]
                if transformed:
                    optimizer_dec.zero_grad()
                    (0.01 * self.weighted_l1(self.decoded(real), att)).backward()
                    optimizer_dec.step()
                optimizer_d.zero_grad()
                (-gamma * self.judged(real, att)).backward()
                z = self.encoded(real, att)[0] if transformed else normal(5, A, generator=g)
                fake = self.fake(z, att, feedback=feedback).detach()
                (gamma * self.judged(fake, att)).backward()
                alpha = torch.rand(5, 1, generator=g, dtype=torch.float64).expand(5, D)
                mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
                scores = self.net_d(torch.cat((mixed, att), 1))
                (slope,) = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True)
                term = gamma * ((slope.norm(2, dim=1) - 1) ** 2).mean() * penalty
                slopes += term.detach()
                term.backward()
                optimizer_d.step()
            slopes /= gamma * penalty * 2
            if transformed and slopes > 1.05:
                penalty *= 1.1
            elif transformed and slopes < 1.001:
                penalty /= 1.1
            for optimizer in (optimizer_e, optimizer_g, *([optimizer_f] if transformed else [])):
                optimizer.zero_grad()
            z, mean, log_var = self.encoded(real, att)
            recon = self.fake(z, att, feedback=feedback)
            loss = nn.functional.binary_cross_entropy(recon, real, reduction="sum") / 5
            loss += -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp()) / 5
            fake = recon if transformed else self.fake(normal(5, A, generator=g), att)
            loss += gamma * -self.judged(fake, att)
            if transformed:
                optimizer_dec.zero_grad()
                loss += 0.01 * self.weighted_l1(self.decoded(fake), att)
            loss.backward()
            optimizer_e.step()
            optimizer_g.step()
            if feedback:
                optimizer_f.step()
            if transformed:
                optimizer_dec.step()

    def judged(self, features, att):
        return self.net_d(torch.cat((features, att), 1)).mean()

    def encoded(self, features, att):
        both, mean, log_var = self.net_e
        hidden = F.leaky_relu(both(torch.cat((features, att), 1)), 0.2)
        mean, log_var = mean(hidden), log_var(hidden)
        return normal(len(mean), A, generator=self.g) * torch.exp(0.5 * log_var) + mean, mean, log_var

    def fake(self, z, att, *, feedback=False):
        first, activation, last = self.net_g
        hidden = activation(first(torch.cat((z, att), 1)))
        features = torch.sigmoid(last(hidden))
        if not feedback:
            return features
        shown = F.leaky_relu(self.net_dec[0](features), 0.2).detach()
        return torch.sigmoid(last(hidden + 1.0 * F.leaky_relu(self.net_f(shown), 0.2)))

    def decoded(self, features):
        h = self.net_dec(features)
        return h / h.pow(2).sum(1).sqrt()[:, None]

    def weighted_l1(self, pred, gt):
        wt = (pred - gt).pow(2)
        wt = wt / wt.sum(1).sqrt()[:, None]
        return (wt * (pred - gt).abs()).sum() / len(gt)

    def represented(self, features):
        if not self.transformed:
            return features
        hidden = F.leaky_relu(self.net_dec[0](features), 0.2)
        return torch.cat([features, self.decoded(features), hidden], dim=1)


@pytest.mark.verdict(
    "zeroshot/f_vaegan", against="TF-VAEGAN's training loop, restated without its additions", within=1e-7
)
@pytest.mark.parametrize("generalized", [True, False])
def test_f_vaegan(equal, data, generalized):
    equal(*scores_of_vaegan(FVAEGAN, data, generalized))


@pytest.mark.verdict("zeroshot/tf_vaegan", against="the authors' training loop, restated", within=1e-7)
@pytest.mark.parametrize("generalized", [True, False])
def test_tf_vaegan(equal, data, generalized):
    equal(*scores_of_vaegan(TFVAEGAN, data, generalized))


def scores_of_vaegan(cls, data, generalized):
    """What a method answers, and what the restated loop does."""
    features, labels, seen, unseen = data
    settings = {key: value for key, value in GAN.items() if key != "pretraining_epochs"} | {"steps": 5}
    method, training, binding = made(cls, settings, data)
    x, feedback = scaled(features), cls is TFVAEGAN
    net = VaeGan(x, labels, unit(seen), training, transformed=feedback)
    att = unit(unseen).repeat_interleave(5, 0)
    with torch.no_grad():
        points = net.represented(net.fake(normal(len(att), A, generator=binding), att, feedback=feedback))
        asked = net.represented(x)
    made_up = torch.arange(UNSEEN).repeat_interleave(5)
    classes, candidates = UNSEEN, unseen
    if generalized:
        classes, candidates = SEEN + UNSEEN, torch.cat([seen, unseen])
        points, made_up = torch.cat([asked, points]), torch.cat([labels, SEEN + made_up])
    layer = softmax(points, made_up, classes, gaussian, binding, epochs=3, batch=8)
    score = method.bind(candidates, seen=torch.arange(classes) < classes - UNSEEN)
    return score(features), layer(asked).detach()


class Aligned:
    """The loop of vaemodel.py."""

    def __init__(self, x, y, a, g, *, code):
        self.code, self.g = code, g
        self.encoders = [self.encoder(D, 8), None]
        self.decoders = [self.decoder(D, 7), None]
        self.encoders[1], self.decoders[1] = self.encoder(A, 6), self.decoder(A, 5)
        layers = [layer for each in (*self.encoders, *self.decoders) for layer in each]
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=0.01, amsgrad=True)
        for epoch in range(8):
            for _ in range(3):
                some = torch.randperm(N, generator=g)[:5]
                optimizer.zero_grad()
                self.loss([x[some], a[y[some]]], 100 * epoch / 8).backward()
                optimizer.step()

    def encoder(self, inputs, hidden):
        return [linear(inputs, hidden, glorot, self.g), *(linear(hidden, 3, glorot, self.g) for _ in range(2))]

    def decoder(self, outputs, hidden):
        return [linear(3, hidden, glorot, self.g), linear(hidden, outputs, glorot, self.g)]

    def encoded(self, kind, values):
        first, mu, logvar = self.encoders[kind]
        hidden = F.relu(first(values))
        return mu(hidden), logvar(hidden)

    def drawn(self, mu, logvar, generator=None):
        g = generator or self.g
        if self.code:
            return mu + torch.exp(logvar) * normal(len(mu), 1, generator=g).expand(mu.shape)
        return mu + torch.exp(0.5 * logvar) * normal(*mu.shape, generator=g)

    def decoded(self, kind, z):
        first, last = self.decoders[kind]
        return last(F.relu(first(z)))

    def loss(self, given, epoch):
        codes = [self.encoded(kind, values) for kind, values in enumerate(given)]
        z = [self.drawn(*code) for code in codes]
        criterion = nn.L1Loss(reduction="sum")
        own = sum(criterion(self.decoded(kind, z[kind]), given[kind]) for kind in range(2))
        cross = sum(criterion(self.decoded(kind, z[1 - kind]), given[kind]) for kind in range(2))
        kld = sum(0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) for mu, logvar in codes)
        (mu_x, var_x), (mu_a, var_a) = codes
        distance = ((mu_x - mu_a) ** 2).sum(1) + ((var_x.exp().sqrt() - var_a.exp().sqrt()) ** 2).sum(1)
        f1 = min(max((epoch - 21) / (75 - 21) * 2.37, 0), 2.37)
        f2 = min(max(epoch / 93 * 0.25, 0), 0.25)
        f3 = min(max((epoch - 6) / (22 - 6) * 8.13, 0), 8.13)
        return own - f2 * kld + f1 * cross + f3 * distance.sqrt().sum()


@pytest.mark.verdict("zeroshot/cada_vae", against="the authors' training loop, restated", within=1e-9)
@pytest.mark.parametrize("sampling", ["paper", "code"])
@pytest.mark.parametrize("generalized", [True, False])
def test_cada_vae(equal, data, generalized, sampling):
    features, labels, seen, unseen = data
    method, training, binding = made(CADAVAE, {**VAE, "sampling": sampling}, data)
    x = scaled(features)
    model = Aligned(x, labels, unit(seen), training, code=sampling == "code")
    classes, candidates = UNSEEN, unseen
    points, targets = [], []
    with torch.no_grad():
        if generalized:  # four examples a class, and six latents: the first two come twice
            classes, candidates = SEEN + UNSEEN, torch.cat([seen, unseen])
            rows = torch.cat([x[labels == label].repeat(2, 1)[:6] for label in range(SEEN)])
            points.append(model.drawn(*model.encoded(0, rows), binding))
            targets.append(torch.arange(SEEN).repeat_interleave(6))
        points.append(model.drawn(*model.encoded(1, unit(unseen).repeat_interleave(5, 0)), binding))
        targets.append(classes - UNSEEN + torch.arange(UNSEEN).repeat_interleave(5))
    layer = softmax(torch.cat(points), torch.cat(targets), classes, glorot, binding, epochs=3, batch=8)
    score = method.bind(candidates, seen=torch.arange(classes) < classes - UNSEEN)
    equal(score(features), layer(model.encoded(0, x)[0]).detach())


BOTH = pytest.mark.parametrize(("cls", "settings"), [(FCLSWGAN, GAN), (CADAVAE, VAE)])


def test_seen_candidates_are_known_by_their_description(data):
    features, _, seen, unseen = data
    method = made(FCLSWGAN, GAN | {"classifier_epochs": 150, "classifier_lr": 0.05}, data)[0]
    candidates, order = torch.cat([seen, unseen]), torch.tensor([4, 1, 3, 0, 2])
    plain = method.bind(candidates, seen=torch.arange(5) < SEEN)(features).argmax(1)
    moved = method.bind(candidates[order], seen=order < SEEN)(features).argmax(1)
    assert (order[moved] == plain).double().mean() > 0.9  # the classifiers start from other numbers


@BOTH
def test_every_fit_and_every_binding_is_the_same(cls, settings, data):
    features, _, seen, unseen = data
    method = made(cls, settings, data)[0]
    candidates, flags = torch.cat([seen, unseen]), torch.arange(5) < SEEN
    first, second = (method.bind(candidates, seen=flags)(features) for _ in range(2))
    method.fit(*data[:3])
    assert torch.equal(first, second)
    assert torch.equal(first, method.bind(candidates, seen=flags)(features))
    assert not any(parameter.requires_grad for parameter in method.parameters())


@BOTH
def test_they_fit_and_bind_in_inference_mode(cls, settings, data):
    features, labels, seen, unseen = data
    torch.manual_seed(1)
    method = cls(D, A, **settings).double()
    with torch.inference_mode():
        method.fit(1 * features, 1 * labels, 1 * seen)
        inside = method.bind(1 * unseen, seen=torch.zeros(UNSEEN).bool())
    outside = made(cls, settings, data)[0].bind(unseen, seen=torch.zeros(UNSEEN).bool())
    points = features.clone().requires_grad_()
    assert torch.equal(inside(points), outside(features))
    inside(points).sum().backward()
    assert points.grad.abs().sum() > 0


def test_without_a_fit_they_say_so(data):
    with pytest.raises(RuntimeError, match="low is not known yet; call fit first"):
        FCLSWGAN(D, A, **GAN).bind(data[3], seen=torch.zeros(UNSEEN).bool())
