"""What a module refuses, and what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tlzoo.backbones import create_backbone
from tlzoo.data import DomainTask, ExampleSet
from tlzoo.lit import DomainAdaptation, DomainConfusion, DomainData, FineTuning, Multitask, OneShot, ZeroShot
from tlzoo.methods.adaptation import DAN, SourceOnly
from tlzoo.registry import create_method
from tlzoo.types import DomainBatch, Examples, Sees, SupervisionError

FEATURES = {"num_features": 8}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DomainAdaptation("identity", "dann", num_classes=3, backbone_settings=FEATURES),
            "DomainConfusion",
        ),
        (
            lambda: DomainConfusion("identity", "dan", num_classes=3, backbone_settings=FEATURES),
            "DomainAdaptation",
        ),
        (lambda: Multitask("identity", "dan", targets={"a": 2}, backbone_settings=FEATURES), "DomainAdaptation"),
        (lambda: OneShot("identity", "ridge", backbone_settings=FEATURES), "ZeroShot"),
        (
            lambda: ZeroShot("identity", "protonet", num_classes=2, num_embedding=8, backbone_settings=FEATURES),
            "OneShot",
        ),
        (lambda: DomainAdaptation("identity", "shot", num_classes=3, backbone_settings=FEATURES), "SourceFree"),
        (lambda: DomainAdaptation("identity", "coral", num_classes=3, backbone_settings=FEATURES), "DomainData"),
        (lambda: FineTuning("identity", "equal", num_classes=3, backbone_settings=FEATURES), "Multitask"),
    ],
)
def test_a_method_of_another_family(make, message):
    with pytest.raises(ValueError, match=rf"is a method for {message}[\w.()=]*, not for "):
        make()


def test_an_object_of_another_family():
    method = create_method("protonet")
    with pytest.raises(TypeError, match="oneshot/protonet is a method for OneShot, not for DomainAdaptation"):
        DomainAdaptation("identity", method, num_classes=3, backbone_settings=FEATURES)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'dann'"):
        DomainConfusion("identity", "dannn", num_classes=3, backbone_settings=FEATURES)


def test_an_unknown_setting_names_the_known_ones():
    with pytest.raises(TypeError, match=r"adaptation/dan\W.*sacles.*its settings are .*scales"):
        DomainAdaptation(
            "identity", "dan", num_classes=3, backbone_settings=FEATURES, method_settings={"sacles": [1.0]}
        )


def test_a_loss_that_is_not_finite_stops_the_training():
    module = DomainAdaptation("identity", "source_only", num_classes=3, backbone_settings=FEATURES)
    terms = {"loss": torch.tensor(torch.nan), "source": torch.tensor(2.0)}
    with pytest.raises(FloatingPointError, match=r"adaptation/source_only: the loss at step 0 is nan \(.*source 2\)"):
        module.check_loss(terms["loss"], terms)


def test_inputs_of_two_shapes_need_statistics_per_domain():
    def batch():
        source = Examples(inputs=torch.ones(4, 8, 8), labels=torch.zeros(4, dtype=torch.long))
        return DomainBatch(source=source, target=Examples(inputs=torch.ones(4, 6, 6)))

    module = DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES)
    with pytest.raises(ValueError, match=r"differ in shape: \(8, 8\) and \(6, 6\).*per_domain"):
        module.training_step(batch(), 0)


class Letters(nn.Module):
    """Texts to features: how often four letters occur."""

    def forward(self, texts):
        return torch.tensor([[float(text.count(letter)) for letter in "abcd"] for text in texts])


def test_texts_train_too(make_trainer):
    def texts(seed):
        random = np.random.default_rng(seed)
        labels = random.integers(2, size=20)
        words = ["".join(random.choice(list("aab") if label else list("ccd"), size=6)) for label in labels]
        return ExampleSet(inputs=np.array(words), modality="text", labels=labels)

    task = DomainTask(
        name="letters",
        class_names=("cd", "ab"),
        source_train=texts(0),
        source_test=texts(1),
        target_train=texts(2),
        target_test=texts(3),
    )
    backbone = create_backbone(Letters(), num_features=4, modality="text")
    module = DomainAdaptation(backbone, "dan", num_classes=2)
    trainer, data = make_trainer(20), DomainData(task, batch_size=10)
    trainer.fit(module, datamodule=data)
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    assert results["test/accuracy"] == 1.0


def test_progress_is_one_outside_of_training():
    assert DomainAdaptation("identity", "dan", num_classes=3, backbone_settings=FEATURES).progress == 1.0


def test_a_method_of_the_users_own_goes_by_its_class_name():
    class Mine(DAN):
        pass

    module = DomainAdaptation("identity", Mine(8, 3), num_classes=3, backbone_settings=FEATURES)
    assert module.method_name == "Mine"


def test_hooks_of_a_method_are_called(domain_task, make_trainer):
    class Weighted(SourceOnly):
        sees = SourceOnly.sees | {Sees.TARGET_INPUTS}

        def make_head(self):
            return nn.Linear(self.num_features, self.num_classes, bias=False)

        def source_weights(self, source):
            return torch.full((len(source),), 2.0)

        def on_epoch(self, target):
            self.target = target

    module = DomainAdaptation("identity", Weighted(8, 3), num_classes=3, backbone_settings=FEATURES)
    assert module.network.head.bias is None
    trainer = make_trainer(4)
    trainer.fit(module, datamodule=DomainData(domain_task, batch_size=12))
    assert module.method.target.features.shape == (36, 8)
    with pytest.raises(SupervisionError, match="TARGET_LABELS"):
        _ = module.method.target.labels
    assert sorted(module.method.target.indices.tolist()) == list(range(36))
    examples = domain_task.source_train.batch(np.arange(9))
    prediction = replace(module.network(examples.inputs), labels=examples.labels)
    plain = nn.functional.cross_entropy(prediction.logits, prediction.labels)
    torch.testing.assert_close(module._supervised(prediction), 2 * plain)
