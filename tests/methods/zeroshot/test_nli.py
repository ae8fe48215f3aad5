"""Reading texts with hypotheses: against a naive loop, and a small random cross-encoder saved to a folder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import tlzoo
from tlzoo.backbones.cross_encoder import load_pair_classifier
from tlzoo.bench import protocols
from tlzoo.bench.cell import Cell
from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import ZeroShotTask
from tlzoo.methods.zeroshot import NLI
from tlzoo.types import Sees

TEXTS = ["the team won the game", "shares fell", "a long text about the price of shares and of oil"]
CLASSES = ["sport", "the economy"]
NAMES = ("team", "shares", "oil")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of one layer that nobody trained, with a tokenizer of a few words."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    path = tmp_path_factory.mktemp("nli")
    words = sorted({"this", "is", "about", ".", *" ".join([*TEXTS, *CLASSES, *NAMES]).split()})
    vocabulary = path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5 + len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        id2label={0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"},
        label2id={"CONTRADICTION": 0, "ENTAILMENT": 1, "NEUTRAL": 2},
    )
    model = BertForSequenceClassification(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(path)
    BertTokenizerFast(str(vocabulary)).save_pretrained(path)
    return path


@pytest.mark.verdict("zeroshot/nli", against="the model's own probabilities", within=1e-06)
def test_scores_are_log_probabilities_of_entailment(folder, equal):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    scores = NLI(model=folder).bind(CLASSES, seen=torch.zeros(2).bool())(TEXTS)
    for i, text in enumerate(TEXTS):
        for c, name in enumerate(CLASSES):
            with torch.no_grad():
                logits = network(**tokenizer(text, f"This text is about {name}.", return_tensors="pt")).logits[0]
            equal(scores[i, c].item(), logits.log_softmax(dim=0)[1].item())
    assert scores.std() > 0.01


def test_what_sentence_transformers_saves_is_read(folder, tmp_path):
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    ours, again = load_pair_classifier(folder), load_pair_classifier(tmp_path / "saved")
    pairs = [(text, name) for text in TEXTS for name in CLASSES]
    torch.testing.assert_close(ours(pairs), again(pairs))
    assert again.labels == ("CONTRADICTION", "ENTAILMENT", "NEUTRAL")


class Fixed(nn.Module):
    def __init__(self, *labels):
        super().__init__()
        self.labels = labels

    def forward(self, pairs):
        return torch.tensor([[float(text.startswith(name)), 0.0] for text, name in pairs])


def test_an_output_must_be_called_entailment():
    assert NLI(model=Fixed("entailment", "not_entailment")).entailment == 0
    with pytest.raises(ValueError, match="called yes, no; say which of them is entailment"):
        NLI(model=Fixed("yes", "no"))
    method = NLI(model=Fixed(), entailment=2)
    with pytest.raises(ValueError, match="entailment 2: the model has 2 outputs"):
        method.bind(["a"], seen=torch.zeros(1).bool())(["text"])


def test_it_reads_texts_alone(tmp_path):
    method = NLI(model=Fixed(), template="{}")
    with pytest.raises(TypeError, match="NLI: class texts of type Tensor; it reads texts"):
        method.bind(torch.ones(2, 3), seen=torch.zeros(2).bool())
    with pytest.raises(TypeError, match="texts of type str"):
        method.bind(["a"], seen=torch.zeros(1).bool())("text")
    with pytest.raises(ValueError, match=r"expected one \{\}"):
        NLI(model=Fixed(), template="about it")
    with pytest.raises(FileNotFoundError, match="save a cross-encoder"):
        NLI(model=tmp_path / "nothing")
    with pytest.raises(ValueError, match="expected the folder of a sequence classifier"):
        NLI(model=tmp_path)


def texts_of(classes, each):
    labels = np.repeat(np.arange(len(classes)), each)
    inputs = np.array([f"{classes[label]} {number}" for number, label in enumerate(labels)])
    return ExampleSet(inputs=inputs, modality="text", labels=labels, checksum=str(each))


@pytest.fixture
def task():
    return ZeroShotTask(
        name="toy",
        class_names=NAMES,
        descriptions=NAMES,
        seen=np.empty(0, dtype=np.int64),
        held_out=np.empty(0, dtype=np.int64),
        unseen=np.arange(3),
        test=texts_of(NAMES, 4),
        embeddings=np.eye(3, dtype=np.float32),
    )


def test_a_module_and_a_trainer(task):
    import pytorch_lightning as pl

    data = tlzoo.lit.ZeroShotData(task)
    method = NLI(model=Fixed(), template="{}", entailment=0)
    identity = tlzoo.create_backbone("identity", num_features=1)
    module = tlzoo.ZeroShot(identity, method, num_classes=3, num_embedding=1)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] == 1.0


def test_a_cell(task, folder, monkeypatch):
    monkeypatch.setattr("tlzoo.bench.protocols.skeleton.load_task", lambda *_, **__: task)
    cell = Cell(kind="zeroshot", task="toy", method="zeroshot/nli", settings={"model": str(folder)})
    outcome = protocols.run(cell, lambda _: None)
    assert outcome.receipt["sees"] == [Sees.CLASS_DESCRIPTIONS]
    assert outcome.predictions["test_logits"].shape == (12, 3)
    with pytest.raises(ValueError, match="zeroshot/nli takes raw texts"):
        protocols.run(replace(cell, backbone="sentence:minilm", task="other"), lambda _: None)
