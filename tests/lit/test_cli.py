"""``tlzoo fit``: a config file or options in, test metrics out."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tlzoo.cli import main
from tlzoo.lit import DomainConfusion
from tlzoo.scoring import CLASS_FIGURES

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "dann_digits.yaml"
QUIET = [
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
    "--trainer.log_every_n_steps=1",
    "--trainer.max_steps=3",
]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pictures(tmp_path):
    """Return the options of two domains of bright and dark pictures on disk."""
    random = np.random.default_rng(0)
    for domain, shift in (("day", 40), ("night", 0)):
        for name, level in (("bright", 200), ("dark", 20)):
            folder = tmp_path / "pictures" / domain / name
            folder.mkdir(parents=True)
            for number in range(8):
                pixels = random.integers(level, level + 15, size=(12, 12, 3)) + shift
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    root = tmp_path / "pictures"
    return ["--data.task=folder:day->night", f"--data.root={root}", "--data.batch_size=4"]


def printed_metrics(capsys):
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("test/")]
    return {name: float(value) for name, value in lines}


def test_the_example_on_a_task_of_ones_own(pictures, capsys):
    assert main(["fit", f"--config={EXAMPLE}", *pictures, *QUIET]) == 0
    metrics = printed_metrics(capsys)
    assert set(metrics) == {f"test/{name}" for name in CLASS_FIGURES}
    assert all(0 <= value <= 1 for value in metrics.values())


@pytest.mark.data
def test_the_example_as_it_is(capsys):
    assert main(["fit", f"--config={EXAMPLE}", *QUIET]) == 0
    assert 0 < printed_metrics(capsys)["test/accuracy"] < 1


@pytest.mark.parametrize(
    ("model", "data"), [("DomainAdaptation", "DomainData"), ("tlzoo.FineTuning", "tlzoo.lit.DomainData")]
)
def test_options_alone(model, data, pictures, capsys):
    method = "dan" if model == "DomainAdaptation" else "linear_probe"
    options = [f"--model={model}", "--model.backbone=lenet", f"--model.method={method}", f"--data={data}"]
    assert main(["fit", *options, *pictures, *QUIET]) == 0
    assert "test/accuracy" in printed_metrics(capsys)


def test_print_config_is_a_config(pictures, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["fit", f"--config={EXAMPLE}", *pictures, *QUIET, "--print_config"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    config = yaml.safe_load(printed)
    assert config["model"]["init_args"]["method"] == "dann"
    assert "num_classes" not in config["model"]["init_args"]  # the data tell
    (tmp_path / "printed.yaml").write_text(printed)
    assert main(["fit", f"--config={tmp_path / 'printed.yaml'}"]) == 0
    assert "test/accuracy" in printed_metrics(capsys)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the second run has a folder of its own: so it should
def test_a_run_leaves_metrics_and_a_checkpoint_that_loads(pictures, tmp_path):
    options = [option for option in QUIET if "logger" not in option and "checkpointing" not in option]
    assert main(["fit", f"--config={EXAMPLE}", *pictures, *options]) == 0
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert "train/loss" in (run / "metrics.csv").read_text()
    (checkpoint,) = run.rglob("*.ckpt")
    module = DomainConfusion.load_from_checkpoint(checkpoint)
    assert module.network.head.out_features == 2
    assert torch.load(checkpoint, weights_only=True)["hyper_parameters"]["optimizer"]["schedule"] == "annealed"
    further = ["--trainer.max_steps=5", f"--ckpt_path={checkpoint}"]
    assert main(["fit", f"--config={EXAMPLE}", *pictures, *options, *further]) == 0
    (later,) = (tmp_path / "lightning_logs" / "version_1").rglob("*.ckpt")
    assert torch.load(later, weights_only=True)["global_step"] == 5


def test_the_root_of_a_run_is_the_users(pictures, tmp_path):
    options = [option for option in QUIET if "logger" not in option and "checkpointing" not in option]
    root = tmp_path / "elsewhere"
    assert main(["fit", f"--config={EXAMPLE}", *pictures, *options, f"--trainer.default_root_dir={root}"]) == 0
    assert "train/loss" in (root / "lightning_logs" / "version_0" / "metrics.csv").read_text()
    assert not (tmp_path / "lightning_logs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.method=dannn"], "unknown method 'dannn'; did you mean 'dann'"),
        (["--model.method=dan"], "adaptation/dan is a method for DomainAdaptation, not for DomainConfusion"),
        (["--model.method_settings={hiden: 3}"], "got an unexpected keyword argument 'hiden'; its settings are"),
        (["--model.bakbone=lenet"], "Option 'bakbone' is not accepted"),
        (["--model=DomainConfusoin"], "unknown class 'DomainConfusoin'; did you mean 'DomainConfusion'"),
        (["--model.optimizer.schedule=anealed"], "did you mean 'annealed'"),
        (["--trainer.max_stepz=3"], "unrecognized arguments: --trainer.max_stepz=3"),
        (["--trainer.max_steps=many"], 'key "trainer.max_steps": Expected'),
        (["--data.task=digits:mnist->x"], "unknown task 'digits:mnist->x'"),
        (["--data=EpisodeData"], "EpisodeData takes an episode task"),
        (["--config=nowhere.yaml"], "File does not exist"),
    ],
)
def test_a_mistake_is_one_line(options, message, pictures, capsys):
    assert main(["fit", f"--config={EXAMPLE}", *pictures, *QUIET, *options]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("tlzoo: ")
    assert message in line
    assert captured.out == ""


def test_a_method_without_parameters_is_tested_alone(capsys, monkeypatch, episode_task, zeroshot_task):
    """``identity`` has nothing to train: fit is left out, not an error."""
    tasks = {"episodes": episode_task, "zeroshot": zeroshot_task}
    monkeypatch.setattr("tlzoo.lit.data.base.load_task", lambda name, **_: tasks[name])
    features = ["--model.backbone=identity", "--model.backbone_settings={num_features: 8}"]
    words = ["--model=OneShot", "--model.method=protonet", "--data=EpisodeData", "--data.task=episodes"]
    assert main(["fit", *words, *features, "--data.episodes=20", *QUIET]) == 0
    assert printed_metrics(capsys)["test/accuracy"] > 0.6
    for method in ("cosine", "eszsl"):
        words = ["--model=ZeroShot", f"--model.method={method}", "--data=ZeroShotData", "--data.task=zeroshot"]
        assert main(["fit", *words, *features, *QUIET]) == 0
        assert printed_metrics(capsys)["test/accuracy"] > 0.6


def test_targets_are_told_by_the_task(capsys, monkeypatch, multitask_task):
    monkeypatch.setattr("tlzoo.lit.data.base.load_task", lambda *_, **__: multitask_task)
    words = ["--model=Multitask", "--model.method=equal", "--data=MultitaskData", "--data.task=both"]
    backbone = ["--model.backbone=mlp", "--model.backbone_settings={num_inputs: 8, hidden: [6]}"]
    assert main(["fit", *words, *backbone, *QUIET]) == 0
    assert {"test/score", "test/kind/accuracy", "test/height/mae"} <= set(printed_metrics(capsys))
