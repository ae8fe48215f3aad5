import json
import logging
import os
import time

import pytest

from tlzoo.storage import contents
from tlzoo.storage.contents import content_hashes


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    made = [folder / f"{name}.bin" for name in "abc"] + [folder / "deep/d.bin"]
    for place, file in enumerate(made):
        file.write_bytes(bytes([place] * 10))
    return made


@pytest.fixture
def read(monkeypatch):
    """Return the files that were read, as they are."""
    names = []
    real = contents.file_sha256

    def counted(path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(contents, "file_sha256", counted)
    return names


@pytest.fixture
def settled(monkeypatch):
    monkeypatch.setattr(contents, "_SETTLED", -3600.0)


@pytest.mark.usefixtures("settled")
def test_files_that_stay_as_they_are_are_read_once_but_for_a_sample(files, read, monkeypatch):
    monkeypatch.setattr(contents, "_VERIFIED", 1)
    first = content_hashes(files[0].parent, files)
    assert len(read) == 4
    assert list(first) == ["a.bin", "b.bin", "c.bin", "deep/d.bin"]
    assert content_hashes(files[0].parent, files) == first
    assert len(read) == 5


def test_what_has_just_changed_is_read_again_since_clocks_are_coarse(files, read):
    content_hashes(files[0].parent, files)
    content_hashes(files[0].parent, files)
    assert len(read) == 8


@pytest.mark.usefixtures("settled")
def test_only_what_changed_is_read_again(files, read, monkeypatch):
    monkeypatch.setattr(contents, "_VERIFIED", 0)
    first = content_hashes(files[0].parent, files)
    files[1].write_bytes(b"other data")
    read.clear()
    second = content_hashes(files[0].parent, files)
    assert read == ["b.bin"]
    assert [name for name in first if first[name] != second[name]] == ["b.bin"]


@pytest.mark.usefixtures("settled")
def test_a_stamp_that_lies_is_found_out(files, monkeypatch, caplog):
    monkeypatch.setattr(contents, "_stamp", lambda _: (10, 1, 1, 1))
    first = content_hashes(files[0].parent, files)
    files[2].write_bytes(b"other data")
    with caplog.at_level(logging.WARNING):
        second = content_hashes(files[0].parent, files)
    assert "changed without a trace" in caplog.text
    assert first["c.bin"] != second["c.bin"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a.bin": 3}', b'{"a.bin": [[1], "x"]}'])
@pytest.mark.usefixtures("settled")
def test_a_damaged_record_is_made_anew(files, tmp_path, damage):
    first = content_hashes(files[0].parent, files)
    (record,) = (tmp_path / "home/contents").iterdir()
    record.write_bytes(damage)
    assert content_hashes(files[0].parent, files) == first
    assert len(json.loads(record.read_text())) == 4


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_gone_leaves_the_record(files, tmp_path):
    content_hashes(files[0].parent, files)
    files[0].unlink()
    (files[0].parent / "e.bin").write_bytes(b"new")
    assert len(content_hashes(files[0].parent, [*files[1:], files[0].parent / "e.bin"])) == 4
    (record,) = (tmp_path / "home/contents").iterdir()
    assert sorted(json.loads(record.read_text())) == ["b.bin", "c.bin", "deep/d.bin", "e.bin"]


@pytest.mark.usefixtures("settled")
def test_new_files_are_checked_once(files):
    def refuse(file):
        if file.name == "b.bin":
            raise ValueError("b.bin is wrong")

    with pytest.raises(ValueError, match="is wrong"):
        content_hashes(files[0].parent, files, check=refuse)
    looked_at = []
    for _ in range(2):
        content_hashes(files[0].parent, files, check=looked_at.append)
    assert sorted(file.name for file in looked_at) == ["a.bin", "b.bin", "c.bin", "d.bin"]


def test_where_nothing_can_be_kept_hashes_are_right(files, tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("no folder")
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "blocked"))
    old = time.time() - 100
    for file in files:
        os.utime(file, (old, old))
    assert content_hashes(files[0].parent, files) == content_hashes(files[0].parent, files)
