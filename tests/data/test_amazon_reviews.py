"""On small generated copies of four layouts: reviews with a word for each product and one for each opinion."""

import numpy as np
import pytest
import yaml
from scipy.io import savemat
from scipy.sparse import coo_matrix
from sklearn.datasets import dump_svmlight_file

import tlzoo
from tlzoo.bench.suite_reader import find_suite
from tlzoo.data import load_task
from tlzoo.data.datasets import amazon_reviews
from tlzoo.errors import InputError

PRODUCTS = amazon_reviews.PRODUCTS
NAMES = ("negative", "positive")


def review(product, label, number):
    opinion = ("bad", "good")[label]
    return f"{opinion}:2 {product}:1 {opinion}_{product}:1 word{number}:1 #label#:{NAMES[label]}"


@pytest.fixture
def bags(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    for product in PRODUCTS:
        folder = tmp_path / "processed_acl" / product
        folder.mkdir(parents=True)
        for label, name in enumerate(NAMES):
            lines = [review(product, label, number) for number in range(6)]
            (folder / f"{name}.review").write_text("\n".join(lines) + "\n")
        lines = [review(product, number % 2, number) for number in range(5)]
        (folder / "unlabeled.review").write_text("\n".join(lines) + "\n")
    return tmp_path


def matrix(seed):
    labels = np.arange(10) % 2
    rows = np.random.default_rng(seed).integers(0, 2, size=(10, 6)).astype(np.float64)
    rows[:, 0] = labels
    return rows, labels


def test_bags_of_the_most_frequent_terms(bags, monkeypatch):
    monkeypatch.setattr(amazon_reviews, "TERMS", 6)
    task = load_task("amazon_reviews:books->dvd", root=bags)
    assert [len(part) for part in task.sets().values()] == [12, 5, 12, 5]
    # good and bad are in 24 of 48 labelled reviews each, products in 12
    assert amazon_reviews._frequent(bags / "processed_acl") == ["bad", "good", *PRODUCTS]
    rows = task.target_test.inputs[np.arange(5)]
    assert rows.tolist() == [[1 - k % 2, k % 2, 0, 1, 0, 0] for k in range(5)]
    assert task.target_test.labels.tolist() == [0, 1, 0, 1, 0]
    (bags / "processed_acl/kitchen/positive.review").write_text("good:1\n")
    with pytest.raises(ValueError, match=r"positive\.review, line 1 ends in 'good:1'; expected #label#:negative"):
        load_task("amazon_reviews:books->dvd", root=bags)
    (bags / "processed_acl/kitchen/positive.review").unlink()
    with pytest.raises(ValueError, match=r"positive\.review is missing; .* are to be had from https://www\.cs\.jhu"):
        load_task("amazon_reviews:books->dvd", root=bags)


def by_svmlight(root, matrices):
    for product, (rows, labels) in zip(PRODUCTS, matrices, strict=True):
        product = "elec" if product == "electronics" else product
        for part, kept in (("train", slice(7)), ("test", slice(7, None))):
            file = str(root / f"{product}_{part}.svmlight")
            dump_svmlight_file(rows[kept], 2 * labels[kept] - 1, file, zero_based=False)


def by_matlab(root, matrices):
    rows, labels = (np.concatenate(part) for part in zip(*matrices, strict=True))
    offset = np.arange(5) * 10
    savemat(root / "amazon.mat", {"xx": coo_matrix(rows.T), "yy": 2.0 * labels[:, None] - 1, "offset": offset[:, None]})


def by_archive(root, matrices):
    rows, labels = (np.concatenate(part) for part in zip(*matrices, strict=True))
    whole = coo_matrix(rows.T)
    entries = {"xx_data": whole.data, "xx_row": whole.row, "xx_col": whole.col, "xx_shape": whole.shape}
    np.savez(root / "amazon.npz", yy=2 * labels[:, None] - 1, offset=np.arange(5) * 10, **entries)


@pytest.mark.parametrize("write", [by_svmlight, by_matlab, by_archive])
def test_files_of_published_code(tmp_path, write):
    matrices = [matrix(seed) for seed in range(4)]
    write(tmp_path, matrices)
    task = load_task("amazon_reviews:dvd->electronics", root=tmp_path)
    assert [len(part) for part in task.sets().values()] == [7, 3, 7, 3]
    for place, train, test in ((1, task.source_train, task.source_test), (2, task.target_train, task.target_test)):
        rows, labels = matrices[place]
        np.testing.assert_array_equal(train.inputs[np.arange(7)][:, :6], rows[:7])
        np.testing.assert_array_equal(test.inputs[np.arange(3)][:, :6], rows[7:])
        assert [*train.labels, *test.labels] == labels.tolist()


def test_features_of_msda_are_divided(tmp_path):
    for seed, product in enumerate(("books", "dvd")):
        rows, labels = matrix(seed)
        savemat(tmp_path / f"{product}_400.mat", {"fts": rows, "labels": labels[:, None]})
    task = load_task("amazon_reviews:books->dvd", root=tmp_path)
    assert [len(part) for part in task.sets().values()] == [7, 3, 7, 3]
    np.testing.assert_array_equal(task.target_test.inputs[np.arange(3)][:, 0], task.target_test.labels)
    savemat(tmp_path / "dvd_400.mat", {"fts": rows, "labels": labels + 1})
    with pytest.raises(ValueError, match=r"dvd_400\.mat: fts of shape \(10, 6\) and labels \[1 2\]; expected 0 or 1"):
        load_task("amazon_reviews:books->dvd", root=tmp_path)


def test_what_is_missing_is_named_with_the_place_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"has no processed_acl/books, books_train\.svmlight, .* to be had from https"):
        load_task("amazon_reviews:books->kitchen", root=tmp_path)
    with pytest.raises(ValueError, match=r"give root \(--root\), the folder that holds processed_acl/ or DOMAIN_"):
        load_task("amazon_reviews:books->kitchen")
    by_matlab(tmp_path, [matrix(seed) for seed in range(4)])
    savemat(tmp_path / "amazon.mat", {"xx": np.ones((3, 4)), "yy": np.array([1, -1, 3, 1]), "offset": np.arange(5)})
    with pytest.raises(ValueError, match=r"amazon\.mat: labels \[-1  1  3\]; expected -1 and 1"):
        load_task("amazon_reviews:books->kitchen", root=tmp_path)


def test_the_suite_runs_in_small(bags):
    suite = yaml.safe_load(find_suite("amazon-reviews").read_text(encoding="utf-8"))
    suite["seeds"] = 1
    for group, methods in zip(
        suite["groups"], (("source_only", "dann", "target_only"), ("unaligned", "target_only")), strict=True
    ):
        group["seeds"] = 1
        group["tasks"] = group["tasks"][:1]
        group["methods"] = [row for row in group["methods"] if row["method"] in methods]
        for row in (group, *group["methods"]):
            if row.get("budget", {}).get("steps", 0) > 1:
                row["budget"] = {"steps": 5, "batch_size": 4}
    run = tlzoo.run_suite(suite, store=bags / "store", root=bags, executor="in_process", progress=False)
    assert not run.failures(), run.failures()[0].traceback
    frame = run.to_dataframe().set_index("label")
    assert len(frame) == 5
    assert frame.loc["SVM", "test/accuracy"] == 1  # the words of an opinion are the same in all products
    assert "Ganin et al., JMLR 2016" in run.render("markdown")


def test_damaged_files_of_others_are_named(tmp_path):
    (tmp_path / "amazon.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"amazon\.npz cannot be read as an \.npz file"):
        load_task("amazon_reviews:books->dvd", root=tmp_path)
    np.savez(tmp_path / "amazon.npz", yy=[1])
    with pytest.raises(InputError, match=r"amazon\.npz has no xx_data; it is to be had from"):
        load_task("amazon_reviews:books->dvd", root=tmp_path)
    entries = {"xx_data": [1.0], "xx_row": [0], "xx_col": [0], "xx_shape": [3, 4], "yy": [1, 1, -1, -1]}
    np.savez(tmp_path / "amazon.npz", **entries, offset=[])
    with pytest.raises(InputError, match=r"0 offsets and 4 labels of 4 reviews; expected one each"):
        load_task("amazon_reviews:books->dvd", root=tmp_path)
    (tmp_path / "amazon.npz").rename(tmp_path / "amazon.mat")
    with pytest.raises(InputError, match=r"amazon\.mat cannot be read as a MATLAB file"):
        load_task("amazon_reviews:books->dvd", root=tmp_path)
