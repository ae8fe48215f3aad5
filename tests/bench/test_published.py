"""Published values beside ours: sources, means, and rows that are not rerun here."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from tlzoo.bench import published as module
from tlzoo.bench.cell import Cell
from tlzoo.bench.published import published
from tlzoo.bench.report.formats import render
from tlzoo.bench.report.lines import Line
from tlzoo.bench.report.tables import Section, Table
from tlzoo.bench.suite_reader import load_suite
from tlzoo.stats import summary

OFFICE = "office-caltech10"
FILES = sorted(module._FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_fits_its_suite(file):
    groups = {group.title: group for group in load_suite(file.stem).groups}
    found = published(file.stem)
    assert found
    for each in found:
        values = each.values or (each.mean,)
        assert len(values) == (len(groups[each.group].tasks) if each.values else 1)
        assert all(0 < value <= 1 for value in values)
        assert each.read_in.startswith("https://")
    assert yaml.safe_load(file.read_text())["suite"] == file.stem


@pytest.mark.parametrize(
    ("label", "mean"),
    [("each domain standardized", 31.37), ("TCA", 43.61), ("JDA", 46.31), ("SA", 44.72), ("TJM", 46.33)],
)
def test_means_of_the_papers(label, mean):
    (found,) = [each for each in published(OFFICE) if each.label == label and each.group.startswith("Nearest")]
    assert 100 * found.of(None) == pytest.approx(mean, abs=0.01)


def test_values_stand_at_their_tasks():
    group = next(g for g in load_suite(OFFICE).groups if g.title.startswith("Nearest"))
    names = [task.value for task in group.tasks]
    found = next(each for each in published(OFFICE) if each.label == "JDA")
    assert found.of(names.index("office_caltech10:dslr->webcam:literature")) == pytest.approx(0.8949)
    assert found.of(names.index("office_caltech10:Caltech10->amazon:literature")) == pytest.approx(0.4478)


def test_where_only_the_mean_is_known_single_tasks_have_no_value():
    (found,) = [each for each in published("office31") if each.label == "OVANet"]
    assert found.of(None) == pytest.approx(0.865)
    assert np.isnan(found.of(0))


def test_other_suites_have_none():
    assert published("quickstart") == published("../secrets") == ()


def test_what_is_recalled_says_so():
    notes = {each.label: each.note for each in published(OFFICE)}
    assert "recalled, not confirmed" in notes["CORAL"]
    assert "recalled" not in notes["JDA"]


def test_tables_show_published_values_beside_ours(tmp_path, monkeypatch):
    """A suite whose rows have not run shows its published values, and those of methods that it lacks."""
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    group = next(g for g in load_suite(OFFICE).groups if g.title.startswith("Nearest"))
    cell = Cell(kind="domain", task="t", method="adaptation/jda", label="JDA")
    line = Line(label="JDA", cell=cell, values={0: 0.4636}, summary=summary([0.4636]))
    absent = Line(label="TCA", cell=cell, values={}, summary=summary([]), absent=1)
    literature = tuple(each for each in published(OFFICE) if each.group == group.title)
    group = replace(group, metric="test/accuracy", columns=())
    sections = (Section(sees=("source inputs",), lines=(line, absent)),)
    table = Table(group=group, task=None, backbone="identity", sections=sections, reference="", literature=literature)
    texts = {name: render([table], name) for name in ("markdown", "latex", "terminal")}
    for text in texts.values():
        assert "46.4" in text
        assert "46.3" in text
        assert "published, not rerun here" in text
        assert "JGSA" in text
        assert "43.6" in text
        assert "Long et al., ICCV 2013" in text
    assert "not run yet" in texts["markdown"]
    cells = {
        row.split("|")[1].split("(")[0].strip(): row.split("|") for row in texts["markdown"].splitlines() if "|" in row
    }
    column = next(place for place, name in enumerate(cells["method"]) if "published" in name)
    assert [cells[name][column].strip() for name in ("JDA", "TCA", "JGSA")] == ["46.3", "43.6", "50.6"]
    plain = replace(table, literature=())
    assert "published" not in render([plain], "markdown")
