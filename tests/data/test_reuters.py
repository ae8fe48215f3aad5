import numpy as np
import pytest

from tlzoo.data import load_task
from tlzoo.data.datasets.reuters import R8
from tlzoo.data.datasets.text_zeroshot import read_tab

HEADER = "Category\tText\nd\tstring\nclass\t\n"


def test_tab_files_are_read_without_quoting(tmp_path):
    file = tmp_path / "a.tab"
    file.write_text(f'{HEADER}earn\tnet "profit rose\ntrade\tabcdefghij\n', "utf-8")
    texts, categories = read_tab(file, characters=11)
    assert texts.tolist() == ['net "profit', "abcdefghij"]
    assert categories.tolist() == ["earn", "trade"]


def test_a_line_of_other_columns_is_named(tmp_path):
    (tmp_path / "a.tab").write_text(f"{HEADER}earn\tfine\nearn\n", "utf-8")
    with pytest.raises(ValueError, match=r"a\.tab, line 5: 1 columns"):
        read_tab(tmp_path / "a.tab", characters=10)


@pytest.mark.data
def test_r8_is_the_whole_test_set():
    task = load_task("reuters-r8")
    assert len(task.test) == 2189
    assert task.class_names == tuple(R8)
    assert np.mean(task.test.labels == task.class_names.index("earn")) == pytest.approx(0.495, abs=5e-4)
    assert max(map(len, task.test.inputs.tolist())) == 600
    assert task.train is None
    assert len(task.seen) == 0
    assert len(task.unseen) == 8
    texts = task.test.batch(np.array([0, 3])).inputs
    assert all(isinstance(text, str) for text in texts)
