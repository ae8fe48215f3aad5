"""SetFit: its loss against a loop over pairs, its steps against torch's, and a tiny encoder of texts."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tlzoo
from tlzoo.backbones.sentence import SentenceEncoder
from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import EpisodeTask
from tlzoo.lit import EpisodeData
from tlzoo.lit.frozen_features import with_tokens
from tlzoo.methods.oneshot import Logistic, SetFit
from tlzoo.methods.oneshot.setfit import _pair_weights, pair_loss

TOPICS = {
    "sea": ["ship", "harbor", "sail", "wave", "anchor"],
    "farm": ["cow", "barn", "wheat", "tractor", "hay"],
    "sky": ["cloud", "wind", "plane", "kite", "star"],
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    return nn.Sequential(OrderedDict(backbone=encoder, head=nn.Identity()))


def episodes(shot=2, queries=5):
    generator = torch.Generator().manual_seed(1)
    support = torch.randn(2, 3 * shot, 6, generator=generator, dtype=torch.float64)
    query = torch.randn(2, queries, 6, generator=generator, dtype=torch.float64)
    return support, torch.arange(3).repeat(2, shot), query


def test_the_loss_is_a_mean_over_pairs_of_either_kind():
    features = torch.randn(7, 4, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    kinds = {True: [], False: []}
    for i in range(7):
        for j in range(7):
            if i != j:
                cosine = float(F.cosine_similarity(features[i], features[j], dim=0))
                same = bool(labels[i] == labels[j])
                kinds[same].append((cosine - same) ** 2)
    expected = (np.mean(kinds[True]) + np.mean(kinds[False])) / 2
    assert pair_loss(features, labels, _pair_weights(labels)).item() == pytest.approx(expected, abs=1e-12)


def test_one_shot_has_pairs_of_two_classes_alone():
    weights = _pair_weights(torch.arange(4))
    assert weights.diagonal().abs().sum() == 0
    assert weights.sum().item() == pytest.approx(1.0)
    assert _pair_weights(torch.tensor([0])).tolist() == [[0.0]]


@pytest.mark.parametrize(("normalize", "transform"), [(False, "UN"), (True, "L2N")])
def test_without_steps_it_is_logistic_regression_on_features(network, normalize, transform):
    support, labels, query = episodes()
    logits = SetFit(steps=0, normalize=normalize)(network, support, labels, query, way=3)
    encode = network.backbone
    expected = Logistic(4, transform=transform).double()(encode(support), labels, encode(query), way=3)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize(("warmup", "clip"), [(0.1, 1.0), (0.25, 0.01), (0.0, None)])
@pytest.mark.verdict("oneshot/setfit", against="a loop with torch's optimizer", within=1e-12)
def test_steps_are_those_of_an_optimizer_on_a_copy(network, warmup, clip, equal):
    from transformers import get_linear_schedule_with_warmup

    support, labels, _ = episodes()
    before = {name: p.clone() for name, p in network.named_parameters()}
    method = SetFit(rate=0.01, steps=8, decay=0.1, warmup=warmup, clip=clip)
    found = method.adapted(network.backbone, support[0], labels[0])
    copy = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    copy.load_state_dict(network.backbone.state_dict())
    optimizer = torch.optim.AdamW(copy.parameters(), lr=0.01, weight_decay=0.1)
    pace = get_linear_schedule_with_warmup(optimizer, math.ceil(8 * warmup), 8) if warmup else None
    for _ in range(8):
        optimizer.zero_grad()
        pair_loss(copy(support[0]), labels[0], _pair_weights(labels[0])).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(copy.parameters(), clip)
        optimizer.step()
        if pace is not None:
            pace.step()
    for name, parameter in copy.named_parameters():
        equal(found[name], parameter)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])


def test_what_cannot_be_adapted(network):
    support, labels, query = episodes()
    with pytest.raises(TypeError, match="no encoder called backbone"):
        SetFit()(nn.Linear(6, 3).double(), support, labels, query, way=3)
    with pytest.raises(ValueError, match="frozen"):
        SetFit()(network.requires_grad_(False), support, labels, query, way=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sentence encoder of one layer that nobody trained, with a tokenizer of a few words."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("encoder")
    words = [word for topic in TOPICS.values() for word in topic]
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 16}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=5 + len(words), max_position_embeddings=32, **layers)).save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    SentenceTransformer(str(path), device="cpu").save(str(path / "saved"))  # with the mean over tokens
    return path / "saved"


def texts_of(each=14):
    random = np.random.default_rng(0)
    texts, labels = [], []
    for label, words in enumerate(TOPICS.values()):
        for _ in range(each):
            count = random.integers(2, 6)
            texts.append(" ".join(random.choice(words, size=count)))
            labels.append(label)
    return ExampleSet(inputs=np.array(texts), modality="text", labels=np.array(labels), checksum="topics")


@pytest.fixture
def task():
    whole = texts_of()
    return EpisodeTask(
        name="toy", class_names=tuple(TOPICS), base=whole, validation=whole, novel=whole, way=3, shot=4, query=3
    )


def test_tokens_are_encoded_as_their_texts(folder):
    encoder = tlzoo.create_backbone(f"sentence:{folder}")
    assert isinstance(encoder, SentenceEncoder)
    texts = ["ship harbor", "cow", "star wind plane kite"]
    tokens = encoder.tokens(texts)
    assert tokens.dtype == torch.int64
    assert encoder.preprocess(tokens) is tokens
    torch.testing.assert_close(encoder(tokens), encoder(texts))
    padded = F.pad(tokens, (0, 5), value=encoder.encoder.tokenizer.pad_token_id)
    torch.testing.assert_close(encoder(padded), encoder(texts))


def test_fine_tuning_helps_an_untrained_encoder(folder, task):
    encoder = tlzoo.create_backbone(f"sentence:{folder}").requires_grad_(True)
    data = EpisodeData(with_tokens(task, encoder), episodes=4)
    drawn = data.episode_list()
    tokens = torch.from_numpy(data.task.novel.inputs[np.arange(len(data.task.novel))])
    support, labels, query, answers = (torch.from_numpy(array.copy()) for array in drawn.episodes)

    def accuracy(steps):
        module = tlzoo.OneShot(encoder, SetFit(rate=3e-3, steps=steps), way=3).eval()
        logits = module(
            tlzoo.types.Episode(
                support=tokens[support], support_labels=labels, query=tokens[query], query_labels=None, way=3
            )
        )
        return (logits.argmax(dim=-1) == answers).float().mean().item()

    assert accuracy(12) > accuracy(0) + 0.05


def test_a_cell(folder, task, monkeypatch):
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: task)
    cell = Cell(
        kind="episode",
        task="toy",
        backbone=f"sentence:{folder}",
        method="oneshot/setfit",
        settings={"steps": 2, "rate": 1e-3},
        module={"training": "none"},
        budget={"episodes": 3},
    )
    outcome = protocols.run(cell, lambda _: None)
    assert not outcome.receipt["transductive"]
    assert outcome.receipt["sees"] == ["target inputs", "target labels"]
    assert outcome.predictions["query_logits"].shape == (3, 9, 3)
    on_features = Cell(
        kind="episode",
        task="toy",
        backbone=f"sentence:{folder}",
        method="oneshot/protonet",
        module={"training": "none"},
    )
    with pytest.raises(TypeError, match="leave training out"):
        protocols.run(on_features, lambda _: None)
