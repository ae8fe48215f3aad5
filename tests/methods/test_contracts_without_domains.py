"""What users call is final: it takes what comes, checks it, calls the method's own function and checks the result."""

import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tlzoo.methods
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.methods.multitask import Equal, PCGrad, Uncertainty
from tlzoo.methods.oneshot import FEAT, TIM, LaplacianShot, ProtoNet, SimpleShot
from tlzoo.methods.strategy import Strategy
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.methods.weighting import Weighting
from tlzoo.methods.zeroshot import ESZSL, NLI, Cosine, Ridge
from tlzoo.registry import accepted_settings, create_method, list_methods, method_class
from tlzoo.types import Sees

WAY, WIDTH, EMBEDDING = 3, 5, 4
CLASSIFIERS = [name for name in list_methods("oneshot") if issubclass(method_class(name), EpisodeClassifier)]
COMPATIBILITIES = [name for name in list_methods("zeroshot") if issubclass(method_class(name), Compatibility)]
LABELS = np.array([[0, 1, 2, 2, 1, 0]] * 2)
ALL_SEEN = np.ones(WAY, dtype=bool)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) + 1


def episodes():
    return numbers(2, 6, WIDTH, seed=1), LABELS, numbers(2, 4, WIDTH, seed=2)


def classifier(name, **settings):
    torch.manual_seed(0)
    method = create_method(name, **accepted_settings(name, num_features=WIDTH), **settings)
    method.fit_base(numbers(7, WIDTH), np.arange(7) % 3)
    return method


def compatibility(name):
    torch.manual_seed(0)
    shape = accepted_settings(name, num_features=WIDTH, num_embedding=EMBEDDING)
    return create_method(name, **shape, **method_class(name).variants[0])


def candidates(method):
    return numbers(WAY, WIDTH if isinstance(method, Cosine) else EMBEDDING, seed=3)


def fitted(name):
    method = compatibility(name)
    return method.fit(numbers(9, WIDTH, seed=4), np.arange(9) % WAY, candidates(method))


# --- final


@pytest.mark.parametrize(
    ("base", "name", "instead"),
    [
        (EpisodeClassifier, "forward", "answer"),
        (EpisodeClassifier, "fit_base", "answer"),
        (MetaLearner, "objective", "answer"),
        (Weighting, "weights", "weigh"),
        (Compatibility, "bind", "scorer"),
        (TextCompatibility, "bind", "scorer"),
        (Strategy, "penalty", "regularizer"),
    ],
)
def test_what_users_call_cannot_be_overridden(base, name, instead):
    with pytest.raises(TypeError, match=rf"Own overrides {base.__name__}\.{name}, .*; implement {instead}\("):
        type("Own", (base,), {name: fail})


class OwnError(RuntimeError):
    pass


def fail(*_, **__):
    raise OwnError


def failing(base, own, *arguments):
    return type("Failing", (base,), {own: fail})(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: failing(EpisodeClassifier, "answer")(*episodes(), way=WAY),
        lambda: failing(EpisodeClassifier, "transform")(*episodes(), way=WAY),
        lambda: failing(EpisodeClassifier, "learn_base").fit_base(numbers(3, 2)),
        lambda: failing(MetaLearner, "answer")(nn.Identity(), *episodes(), way=WAY),
        lambda: failing(MetaLearner, "training_loss").objective(nn.Identity(), *episodes(), LABELS[:, :4], way=WAY),
        lambda: failing(Weighting, "weigh", 2)(torch.ones(2)),
        lambda: failing(Weighting, "own_loss", 2).objective(torch.ones(2)),
        lambda: failing(Weighting, "combine", 2).direction(torch.ones(2, 3)),
        lambda: failing(Compatibility, "learn").fit(np.eye(3), [0, 1, 2], np.eye(3)),
        lambda: failing(Compatibility, "batch_loss").loss(np.eye(3), [0, 1, 2], np.eye(3)),
        lambda: failing(Compatibility, "scorer").bind(np.eye(3), seen=ALL_SEEN),
        lambda: type("Own", (Compatibility,), {"scorer": lambda *_: fail})().bind(np.eye(3), seen=ALL_SEEN)(np.eye(3)),
        lambda: failing(TextCompatibility, "scorer").bind(["a"], seen=torch.ones(1).bool()),
        lambda: failing(Strategy, "regularizer").penalty(nn.Identity(), nn.Identity()),
    ],
)
def test_an_error_of_ones_own_is_two_frames_below_the_call_at_most(call):
    with pytest.raises(OwnError) as caught:
        call()
    ours = Path(tlzoo.methods.__file__).parents[1]
    frames = [
        frame for frame in traceback.extract_tb(caught.value.__traceback__) if ours in Path(frame.filename).parents
    ]
    assert 1 <= len(frames) <= 2


# --- episodes


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_episode_alone_comes_without_the_leading_dimension(name):
    support, labels, query = episodes()
    method = classifier(name)
    both = method(support, labels, query, way=WAY)
    alone = method(support[1], labels[1], query[1], way=WAY)
    assert alone.shape == (4, WAY)
    torch.testing.assert_close(alone, both[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_arrays_are_answered_as_tensors_are(name):
    support, labels, query = episodes()
    method = classifier(name)
    expected = method(torch.from_numpy(support), torch.from_numpy(labels), torch.from_numpy(query), way=WAY)
    weights = [p.dtype for p in method.parameters() if p.ndim]
    assert expected.dtype == (weights or [torch.float64])[0]
    for dtype in (np.int8, np.uint16, np.int64):
        found = method(support, labels.astype(dtype), query, way=WAY)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert torch.equal(method(support.tolist(), labels.tolist(), query.tolist(), way=WAY), expected)
    for dtype in (np.float16, np.float32):
        found = classifier(name)(support.astype(dtype), labels, query.astype(dtype), way=WAY)
        assert found.isfinite().all()


def test_arrays_that_torch_cannot_share():
    support, labels, query = episodes()
    expected = ProtoNet()(support, labels, query, way=WAY)
    frozen = support.copy()
    frozen.setflags(write=False)
    assert torch.equal(ProtoNet()(frozen, labels, query, way=WAY), expected)
    assert torch.equal(ProtoNet()(support[:, ::-1], labels[:, ::-1], query, way=WAY), expected)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_autocast_does_not_reach_inside(name):
    arrays = [part.astype(np.float32) if part.dtype == np.float64 else part for part in episodes()]
    method = classifier(name)
    expected = method(*arrays, way=WAY)
    with torch.autocast("cpu", torch.bfloat16):
        found = method(*arrays, way=WAY)
    assert torch.equal(found, expected)


def test_base_sets():
    support, labels, query = episodes()
    method = SimpleShot(WIDTH)
    with pytest.raises(RuntimeError, match=r"base_mean is not known yet; call fit_base.* first, give base_mean"):
        method(support, labels, query, way=WAY)
    broken = numbers(4, WIDTH)
    broken[1, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"SimpleShot: NaN or Inf in base features \(row 1\)"):
        method.fit_base(broken)
    with pytest.raises(ValueError, match=r"SimpleShot: base features of shape \(0, 5\)"):
        method.fit_base(np.ones((0, WIDTH)))
    with pytest.raises(ValueError, match="SimpleShot: base features have width 4; it was built with num_features=5"):
        method.fit_base(np.ones((3, WIDTH - 1)))
    method.fit_base(support[0])
    assert method.base_mean.dtype == torch.float64


class _Supervised(ProtoNet):
    sees = ProtoNet.sees | {Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS}

    def learn_base(self, features, labels):
        self.learned = labels


def test_labels_of_the_base_set_are_asked_for_where_they_are_declared():
    method = _Supervised()
    with pytest.raises(
        ValueError, match=r"_Supervised learns from labels of the base set; call fit_base\(features, lab"
    ):
        method.fit_base(np.eye(3))
    with pytest.raises(ValueError, match="base labels has 2 entries for 3 inputs"):
        method.fit_base(np.eye(3), [0, 1])
    method.fit_base(np.eye(3), np.array([0, 1, 1], dtype=np.int32))
    assert method.learned.tolist() == [0, 1, 1]

    class Blind(_Supervised):
        sees = ProtoNet.sees | {Sees.SOURCE_INPUTS}

    blind = Blind()
    blind.fit_base(np.eye(3), [0, 1, 2])
    assert blind.learned is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"way": 0}, ValueError, "ProtoNet: way 0; expected at least one class per episode"),
        ({"way": 2}, ValueError, r"ProtoNet: episode 0: label 2; expected labels in range\(2\)"),
        ({"way": 4}, ValueError, "ProtoNet: episode 0: class 3 of 4 has no support"),
        ({"labels": LABELS + 0.5}, ValueError, "support_labels: 0.5 in rows 0, 1; class indices are whole numbers"),
        (
            {"labels": LABELS[:, :5]},
            ValueError,
            r"have shapes \(2, 6, 5\), \(2, 5\) and \(2, 4, 5\); expected \(E, S, D",
        ),
        ({"query": numbers(2, 4, 3)}, ValueError, r"expected \(E, S, D\), \(E, S\) and \(E, Q, D\)"),
        ({"support": np.array([["a"]])}, ValueError, "ProtoNet: items are of type <U1 .* expected numbers"),
    ],
)
def test_episodes_that_do_not_fit(change, error, message):
    support, labels, query = episodes()
    given = {"support": support, "labels": labels, "query": query, "way": WAY} | change
    with pytest.raises(error, match=message):
        ProtoNet()(given["support"], given["labels"], given["query"], way=given["way"])


def test_nan_is_named_with_its_episode():
    support, labels, query = episodes()
    query[1, 3, 0] = np.nan
    message = r"ProtoNet: NaN or Inf in the logits \(episode 1\): NaN or Inf in query \(episode 1\)"
    with pytest.raises(FloatingPointError, match=message):
        ProtoNet()(support, labels, query, way=WAY)


def test_the_width_is_what_it_was_built_for():
    with pytest.raises(ValueError, match="FEAT: features have width 5; it was built with num_features=4"):
        FEAT(4)(*episodes(), way=WAY)


@pytest.mark.parametrize(
    "method", [ProtoNet(), TIM(WIDTH, transform="L2N", steps=3), LaplacianShot(WIDTH, transform="UN")]
)
def test_transforms_of_torch_and_compilation(method):
    parts = [torch.from_numpy(part) for part in episodes()]
    expected = method(*parts, way=WAY)
    mapped = torch.func.vmap(lambda s, labels, q: method(s, labels, q, way=WAY))(*parts)
    torch.testing.assert_close(mapped, expected)

    def total(support):
        return method(support, *parts[1:], way=WAY).square().sum()

    support = parts[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(support), support)
    torch.testing.assert_close(torch.func.grad(total)(parts[0]), gradient)
    torch.compiler.reset()
    compiled = torch.compile(lambda s, labels, q: method(s, labels, q, way=WAY), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*parts), expected)


# --- meta-learning


class _Nearest(MetaLearner):
    def answer(self, model, support, support_labels, query, *, way):
        return ProtoNet()(model(support), support_labels, model(query), way=way)


def test_a_meta_learner_takes_arrays_and_an_episode_alone():
    support, labels, query = episodes()
    method, network = _Nearest(), nn.Tanh()
    both = method(network, support, labels.astype(np.uint8), query, way=WAY)
    alone = method(network, support[1], labels[1], query[1], way=WAY)
    torch.testing.assert_close(alone, both[1])
    asked = np.array([[0, 1, 2, 0]] * 2)
    loss = method.objective(network, support[1], labels[1], query[1], asked[1], way=WAY)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(alone, torch.from_numpy(asked[1])))
    with pytest.raises(
        ValueError, match=r"_Nearest: query_labels have shape \(2, 3\); expected one for each query, \(2, 4\)"
    ):
        method.objective(network, support, labels, query, asked[:, :3], way=WAY)


# --- compatibilities


@pytest.mark.parametrize("name", COMPATIBILITIES)
def test_compatibilities_take_arrays_of_any_dtype(name):
    features, method = numbers(4, WIDTH, seed=5), fitted(name)
    embeddings = candidates(method)
    weights = [p.dtype for p in method.parameters() if p.ndim]
    scores = method.bind(embeddings, seen=ALL_SEEN)(features)
    assert scores.dtype == (weights or [torch.float64])[0]
    as_tensors = method.bind(torch.from_numpy(embeddings), seen=torch.ones(WAY).bool())(torch.from_numpy(features))
    assert torch.equal(scores, as_tensors)
    single = method.bind(embeddings.astype(np.float32), seen=ALL_SEEN)(features.astype(np.float16))
    torch.testing.assert_close(single.double(), scores.double(), rtol=0.1, atol=0.1)
    if method.trained:
        examples, labels = numbers(9, WIDTH, seed=4), (np.arange(9) % WAY).astype(np.int16)
        expected = method.loss(torch.from_numpy(examples), torch.from_numpy(labels), torch.from_numpy(embeddings))
        assert expected["loss"].dtype == weights[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(method.bind(embeddings, seen=ALL_SEEN)(features), scores)


# OTTER's plan comes from a solver outside torch
@pytest.mark.parametrize("name", [name for name in COMPATIBILITIES if name != "zeroshot/otter"])
def test_scorers_under_transforms(name):
    method = fitted(name)
    scorer = method.bind(candidates(method), seen=ALL_SEEN)
    features = torch.from_numpy(numbers(4, WIDTH, seed=5))
    expected = scorer(features).detach()
    mapped = torch.func.vmap(scorer)(torch.stack([features, features + 1])).detach()
    torch.testing.assert_close(mapped[0], expected)
    found = torch.func.grad(lambda x: scorer(x).square().sum())(features)
    leaf = features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scorer(leaf).square().sum(), leaf)
    torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize("name", ["zeroshot/ridge", "zeroshot/dap", "zeroshot/csls", "zeroshot/tip_adapter"])
def test_scorers_under_compilation(name):
    method, features = fitted(name), torch.from_numpy(numbers(4, WIDTH, seed=5))
    scorer = method.bind(candidates(method), seen=ALL_SEEN)
    torch.compiler.reset()
    compiled = torch.compile(lambda x: scorer(x), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(features), scorer(features))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, at a graph break
@pytest.mark.parametrize("name", ["zeroshot/ale", "zeroshot/dual_encoder"])
def test_losses_under_compilation(name):
    method = compatibility(name)
    arguments = torch.from_numpy(numbers(9, WIDTH, seed=4)), torch.arange(9) % WAY, torch.from_numpy(candidates(method))
    expected = method.loss(*arguments)["loss"]
    torch.compiler.reset()
    compiled = torch.compile(lambda *a: method.loss(*a)["loss"], backend="eager")
    torch.testing.assert_close(compiled(*arguments), expected)


def test_what_was_fitted_in_float64_is_loaded_in_float64():
    method = fitted("zeroshot/ridge")
    other = Ridge(WIDTH, EMBEDDING)
    other.load_state_dict(method.state_dict())
    features, embeddings = numbers(4, WIDTH), candidates(method)
    ours, theirs = (m.bind(embeddings, seen=ALL_SEEN)(features) for m in (method, other))
    assert torch.equal(ours, theirs)


def test_compatibilities_that_do_not_fit():
    method, labels = ESZSL(3, 2), torch.tensor([0, 1, 0, 1])
    features = torch.rand(4, 3)
    broken = features.clone()
    broken[1, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"ESZSL: NaN or Inf in features \(row 1\)"):
        method.fit(broken, labels, torch.eye(2))
    with pytest.raises(ValueError, match="ESZSL: labels: 1 in rows 1, 3; expected 0 to 0 for 1 class"):
        method.fit(features, labels, torch.eye(2)[:1])
    with pytest.raises(ValueError, match="ESZSL: labels has 3 entries for 4 inputs"):
        method.fit(features, labels[:3], torch.eye(2))
    with pytest.raises(ValueError, match=r"ESZSL: labels: 0\.5 in rows 0, 1, 2 and 1 more; class indices are whole"):
        method.fit(features, labels + 0.5, torch.eye(2))
    with pytest.raises(ValueError, match="ESZSL: features have width 2; it was built with num_features=3"):
        method.fit(features[:, :2], labels, torch.eye(2))
    with pytest.raises(ValueError, match="ESZSL: class embeddings have width 3; it was built with num_embedding=2"):
        method.fit(features, labels, torch.rand(2, 3))
    with pytest.raises(ValueError, match=r"2 candidates and seen of shape \(3,\)"):
        Cosine().bind(torch.eye(2), seen=torch.ones(3).bool())
    with pytest.raises(RuntimeError, match="ESZSL: weight is not known yet; call fit first"):
        method.bind(torch.eye(2), seen=torch.ones(2).bool())
    assert method.fit(features, labels, torch.eye(2)) is method
    score = method.bind(torch.eye(2), seen=torch.ones(2).bool())
    with pytest.raises(FloatingPointError, match=r"ESZSL: NaN or Inf in the scores .* features \(row 1\)"):
        score(broken)
    with pytest.raises(ValueError, match="ESZSL: features have width 2; it was built with num_features=3"):
        score(features[:, :2])
    with pytest.raises(NotImplementedError, match="ESZSL has no loss; call fit"):
        method.loss(features, labels, torch.eye(2))


def test_texts():
    method = NLI(model=nn.Module(), entailment=0)
    with pytest.raises(TypeError, match="NLI: class texts of type Tensor; it reads texts: give a list of strings"):
        method.bind(torch.eye(2), seen=torch.ones(2).bool())
    with pytest.raises(ValueError, match=r"NLI: 2 candidates and seen of shape \(3,\)"):
        method.bind(["a", "b"], seen=torch.ones(3).bool())
    with pytest.raises(ValueError, match="NLI: no texts; expected one at least"):
        method.bind(["a", "b"], seen=torch.ones(2).bool())([])


# --- several tasks, fine-tuning


def test_tasks():
    with pytest.raises(FloatingPointError, match=r"Equal: the total is nan: NaN or Inf in losses \(task 1\)"):
        Equal(2)(torch.tensor([1.0, torch.nan]))
    with pytest.raises(FloatingPointError, match=r"Uncertainty: the objective is inf: NaN or Inf in losses \(task 0\)"):
        Uncertainty(2).objective(torch.tensor([torch.inf, 1.0]))
    with pytest.raises(ValueError, match=r"Equal: losses of shape \(3,\); it was built with num_tasks=2"):
        Equal(2).weights(torch.ones(3))
    with pytest.raises(ValueError, match="num_tasks 0; expected at least 1"):
        Equal(0)
    with pytest.raises(ValueError, match=r"PCGrad needs the Gramian \(2, 2\) of the task gradients; got none"):
        PCGrad(2)(torch.ones(2))


def test_weightings_under_transforms_and_compilation():
    method, losses = Uncertainty(2), torch.tensor([1.0, 3.0])
    torch.testing.assert_close(torch.func.grad(method)(losses), torch.tensor([0.5, 0.5]))
    mapped = torch.func.vmap(method)(torch.stack([losses, 2 * losses]))
    torch.testing.assert_close(mapped[0], method(losses))
    torch.compiler.reset()
    compiled = torch.compile(lambda given: method(given), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(losses), method(losses))


def test_directions():
    class Mean(Weighting):
        def combine(self, jacobian):
            return jacobian.mean(dim=0)

    assert Mean(2).direction(torch.eye(2)).tolist() == [0.5, 0.5]
    with pytest.raises(FloatingPointError, match=r"Mean: NaN or Inf in the direction .* jacobian \(task 1\)"):
        Mean(2).direction(torch.tensor([[1.0, 1.0], [1.0, torch.inf]]))


def test_penalties():
    class Huge(Strategy):
        def regularizer(self, backbone, head):
            return head.weight.sum() * torch.inf

    with pytest.raises(FloatingPointError, match="Huge: the penalty is"):
        Huge().penalty(nn.Identity(), nn.Linear(2, 2))
    assert Strategy().penalty(nn.Identity(), nn.Identity()) is None
