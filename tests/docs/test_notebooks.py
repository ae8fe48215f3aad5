"""Notebooks are committed without outputs, but for one whose picture is its point, and run."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tlzoo.bench.dependence import TOLERANCE

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
WITH_OUTPUTS = {"exchange_rate"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_has_outputs_only_where_it_should(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    if path.stem in WITH_OUTPUTS:
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
        assert all(output.output_type != "error" for cell in cells for output in cell.outputs)
    else:
        assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a notebook and returns it with the value of an expression at its end."""

    def ran(name, expression):
        notebook = nbformat.read(next(path for path in NOTEBOOKS if path.stem == name), as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({expression}))"))
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return notebook, json.loads(notebook.cells[-1].outputs[0].text)

    return ran


@pytest.mark.data
def test_the_domain_gap_is_there_and_dan_closes_a_part_of_it(run):
    notebook, found = run("domain_gap", "[accuracy, vendor_probe, closed]")
    accuracy, probe, closed = found
    assert accuracy["source_only"]["Google"] > accuracy["source_only"]["Twitter"] + 0.03
    assert accuracy["source_only"]["Twitter"] < accuracy["dan"]["Twitter"] < accuracy["target_only"]["Twitter"]
    assert 0 < closed < 1
    assert probe["dan"] < probe["source_only"]
    _ran_quietly(notebook, pictures=3)


@pytest.mark.data
def test_classifiers_answer_episodes_as_they_say(run):
    notebook, found = run("one_example", "[{n: a.mean() for n, a in accuracy.items()}, transductive, dependence]")
    accuracy, transductive, dependence = found
    assert accuracy["protonet"] < accuracy["simpleshot"] < accuracy["pt_map"]
    for name, changes in dependence.items():
        assert (max(changes.values()) > TOLERANCE) == transductive[name]
    _ran_quietly(notebook, pictures=2)


@pytest.mark.data
def test_unseen_classes_are_found_by_their_names(run):
    notebook, found = run("unseen_classes", "[top1, plain, curve.area]")
    top1, (seen, unseen), area = found
    assert 0.1 < top1["ridge"] < top1["eszsl"]  # chance is .005; no near-copy of an unseen concept is seen
    assert unseen < 0.05 < seen
    assert 0.05 < area < seen
    _ran_quietly(notebook, pictures=2)


@pytest.mark.data
def test_another_collection_of_digits_is_worth_labelled_examples(run):
    notebook, found = run("exchange_rate", "[family['overall']['measured'], family['overall']['rates']]")
    measured, rates = found
    assert measured[0] < measured[-1]
    assert rates["another domain's labels and 1 label"]["accuracy"] > measured[0]
    _ran_quietly(notebook, pictures=1)


@pytest.mark.data
def test_domains_are_confused_and_answers_are_better(run):
    notebook, found = run("confused_domains", "[accuracy, distance]")
    accuracy, distance = found
    assert accuracy["source_only"] < min(accuracy["dann"], accuracy["mcc+dann"])
    assert all(0 <= value <= 2 for value in distance.values())
    _ran_quietly(notebook, pictures=3)


@pytest.mark.data
def test_gradients_of_two_tasks_are_watched(run):
    notebook, found = run("task_conflict", "[accuracy, conflicts, len(cosine), STEPS]")
    accuracy, conflicts, watched, steps = found
    assert all(value > 0.7 for by_task in accuracy.values() for value in by_task.values())
    assert 0 < conflicts < 1
    assert watched == steps
    _ran_quietly(notebook, pictures=3)


def _ran_quietly(notebook, *, pictures):
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) == pictures
    assert not [output for output in shown if output.get("name") == "stderr"]
