"""Backbones trained from scratch for episodes, on a small generated copy of Omniglot's layout."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tlzoo.bench.cell import Cell
from tlzoo.bench.protocols import run
from tlzoo.bench.suite_reader import find_suite, load_suite
from tlzoo.cli import main

WAY, RUNS = 4, 3


def draw(file, place, *, noise=0):
    pixels = np.full((105, 105), 255, dtype=np.uint8)
    pixels[8 + 10 * place : 17 + 10 * place, 20 : 70 + noise] = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("omniglot")
    for alphabet in range(5):
        for character in range(WAY + 1):
            for drawer in range(6):
                name = f"images_background/Alphabet_{alphabet}/character{character:02}/{drawer:02}.png"
                draw(folder / name, character + alphabet, noise=4 * drawer)
    for number in range(1, RUNS + 1):
        run_folder = folder / "all_runs" / f"run{number:02}"
        answers = np.roll(np.arange(WAY), number)
        for place, answer in enumerate(answers):
            draw(run_folder / f"training/class{place + 1:02}.png", place)
            draw(run_folder / f"test/item{place + 1:02}.png", answer, noise=9)
        lines = [
            f"{run_folder.name}/test/item{place + 1:02}.png {run_folder.name}/training/class{answer + 1:02}.png"
            for place, answer in enumerate(answers)
        ]
        (run_folder / "class_labels.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def cell(root, method="oneshot/protonet", *, budget=None, settings=None, **module):
    training = {
        "backbone_settings": {"running_statistics": True, "width": 4},
        "train_way": 3,
        "train_query": 2,
        "lr": 0.01,
        "backbone_lr": 1.0,
        "name": "adam",
    }
    return Cell(
        kind="episode",
        task="omniglot-oneshot",
        method=method,
        backbone="conv4",
        module={**training, **module},
        settings=settings or {},
        budget={"backbone_steps": 20, "backbone_batch_size": 2, "episodes": 40, **(budget or {})},
        root=str(root),
    )


def quiet(_):
    return None


@pytest.mark.parametrize(
    ("method", "training", "batch_size"),
    [
        ("oneshot/protonet", "episodic", 2),
        ("oneshot/simpleshot", "episodic", 2),
        ("oneshot/protonet", "classical", 20),
    ],
)
def test_a_trained_backbone_answers_the_listed_runs(root, method, training, batch_size):
    outcome = run(cell(root, method, training=training, budget={"backbone_batch_size": batch_size}), quiet)
    assert outcome.metrics["test/error"] == pytest.approx(1 - outcome.metrics["test/accuracy"])
    assert outcome.predictions["episode_accuracy"].shape == (RUNS,)
    assert outcome.receipt["training"] == training
    assert outcome.receipt["selection"] == "best of 5 checkpoints on validation episodes"
    assert outcome.receipt["transductive"] is False
    assert {"source inputs", "source labels"} <= set(outcome.receipt["sees"])  # it was trained on the base classes
    assert outcome.curves["step"] == [float(step) for step in range(4, 21, 4)]
    assert max(outcome.curves["validation"]) > 0.5  # chance is .25
    assert outcome.metrics["test/accuracy"] > 0.5


def test_a_cell_gives_the_same_again_and_seeds_differ(root):
    def logits(chosen):
        torch.manual_seed(chosen.seed)
        return run(chosen, quiet).predictions["query_logits"]

    first = cell(root, training="episodic", budget={"backbone_steps": 4})
    once = logits(first)
    np.testing.assert_array_equal(logits(first), once)
    assert not np.array_equal(logits(replace(first, seed=1)), once)


@pytest.mark.parametrize(("training", "batch_size"), [("episodic", 2), ("classical", 20)])
def test_training_pictures_are_warped_and_turned(root, training, batch_size):
    warps = {"quarter_turns": True, "augment": {"affine": {"degrees": 10, "scale": [0.9, 1.1], "translate": 0.1}}}
    changed = cell(root, training=training, budget={"backbone_batch_size": batch_size}, **warps)
    answers = run(changed, quiet).predictions["query_logits"]
    torch.manual_seed(0)
    np.testing.assert_array_equal(run(changed, quiet).predictions["query_logits"], answers)  # by the seed alone
    for name in warps:
        torch.manual_seed(0)
        without = replace(changed, module={key: value for key, value in changed.module.items() if key != name})
        assert not np.array_equal(run(without, quiet).predictions["query_logits"], answers)


def test_a_meta_learner_adapts_the_network_that_was_trained(root):
    settings = {"training": "episodic", "train_way": WAY, "backbone_settings": {"width": 4}}
    tiny = cell(root, "oneshot/anil", budget={"backbone_steps": 2, "episodes": 5}, **settings)
    outcome = run(tiny, quiet)
    assert outcome.predictions["query_logits"].shape == (RUNS, WAY, WAY)
    assert outcome.receipt["training"] == "episodic"


def test_candidates_are_chosen_by_the_validation_classes(root):
    tuned = replace(
        cell(root, "oneshot/simpleshot", training="episodic", budget={"backbone_steps": 10}),
        candidates={"transform": ["UN", "CL2N"]},
    )
    outcome = run(tuned, quiet)
    assert outcome.receipt["tuned"]["transform"] in ("UN", "CL2N")
    assert outcome.receipt["trials"] == 2


def test_the_rate_of_the_training_is_chosen_by_the_validation_classes(root):
    fixed = cell(root, training="episodic", budget={"backbone_steps": 10})
    slow, good = 1e-9, 0.01
    tuned = run(replace(fixed, candidates={"lr": [slow, good]}), quiet)
    assert tuned.receipt["tuned"] == {"lr": good}
    torch.manual_seed(fixed.seed)
    alone = run(fixed, quiet)  # its rate is the good one
    np.testing.assert_array_equal(tuned.predictions["query_logits"], alone.predictions["query_logits"])
    assert tuned.curves == alone.curves


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": "episodes"}, "unknown training 'episodes'; did you mean 'episodic'"),
        ({"training": "classical", "budget": {"backbone_steps": 0}}, "classical needs backbone_steps in the budget"),
        (
            {"training": "episodic", "backbone_settings": {"width": 4}},
            "normalizes by the batch at hand",
        ),
        ({"augment": {"affine": {"degrees": 10}}}, "augment changes training pictures, and no backbone is trained"),
        ({"training": "classical", "augment": {"affine": {"degree": 10}}}, r"expected .*\{affine: \{degrees: 10"),
        ({"training": "classical", "augment": {"affine": {"degrees": -1}}}, "degrees -1; expected"),
        ({"training": "episodic", "budget": {"way": 3}}, "lists its test episodes: way 4"),
    ],
)
def test_errors_say_what_to_do(root, changes, message):
    with pytest.raises(ValueError, match=message):
        run(cell(root, **changes), quiet)


def test_the_shipped_suite_runs_on_a_folder_of_ones_own(root, tmp_path, capsys):
    text = find_suite("omniglot-oneshot").read_text("utf-8")
    small = text.replace("backbone_steps: 1000", "backbone_steps: 10").replace("seeds: 3", "seeds: 1")
    small = small.replace("running_statistics: true", "running_statistics: true, width: 4").replace("[5, 10]", "[3, 4]")
    assert small != text
    suite = tmp_path / "omniglot-oneshot.yaml"
    suite.write_text(small)
    command = [str(suite), "--store", str(tmp_path / "store"), "--root", str(root)]
    assert main(["bench", "run", *command, "--executor", "in_process"]) == 0
    shown = capsys.readouterr().out
    assert "9 cells: 9 run, 0 stored before, 0 failed" in shown
    assert "test/error" in shown
    assert "--root" in (tmp_path / "store" / "report.html").read_text("utf-8")
    assert main(["bench", "status", *command]) == 0
    status = capsys.readouterr().out
    assert [f"{count} finished, 0 failed, 0 missing" in status for count in (4, 2, 3)] == [True] * 3
    stored = [json.loads(file.read_text()) for file in (tmp_path / "store").rglob("*.json")]
    assert all(str(root) not in json.dumps(entry.get("identity", {})) for entry in stored)


def test_without_root_the_suite_says_what_it_lacks(capsys):
    assert main(["bench", "status", "omniglot-oneshot"]) == 2
    error = capsys.readouterr().err
    assert "omniglot-oneshot is read from disk; give root (--root), the folder that holds images_background/" in error


@pytest.mark.parametrize("name", ["emoji-oneshot-hard", "glyphs", "text-fewshot", "omniglot-oneshot"])
def test_suites_ask_a_question_and_have_a_baseline(name):
    suite = load_suite(name)
    assert suite.question.endswith("?")
    assert all(any(row.method.value == "protonet" for row in group.rows) for group in suite.groups)
