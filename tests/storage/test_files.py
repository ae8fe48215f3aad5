import errno
import logging
import os

import pytest

from tlzoo.storage import files, forget_hashes, has_hash, home, keep_file, replace_file, sweep


@pytest.fixture
def broken(monkeypatch):
    """Return a function that lets a call of ``os`` fail from now on."""

    def break_it(name, number):
        def fail(*_, **__):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, name, fail)

    return break_it


def test_home_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("TLZOO_HOME", "")
    assert home().name == "tlzoo"


def test_a_file_is_the_old_one_or_the_new_one(tmp_path, broken):
    path = tmp_path / "deep" / "a.json"
    replace_file(path, b"old")
    broken("fsync", errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [left.name for left in path.parent.iterdir()] == ["a.json"]


def test_every_file_and_its_folder_are_synced_before_the_name_is_given(tmp_path, monkeypatch):
    events = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda opened: (events.append(os.readlink(f"/proc/self/fd/{opened}")), fsync(opened))
    )
    monkeypatch.setattr(os, "replace", lambda *ends: (events.append("rename"), replace(*ends)))
    draft, final = tmp_path / "draft", tmp_path / "final"
    (draft / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (draft / name).write_text(name)
    files.commit(draft, final)
    assert sorted(events[:2]) == [str(draft / "a"), str(draft / "sub/b")]
    assert events[2:] == ["rename", str(tmp_path)]
    assert (final / "sub/b").read_text() == "sub/b"


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path, broken, caplog):
    files._say_not_kept.cache_clear()
    broken("replace", errno.EROFS)
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            keep_file(tmp_path / name, b"x")
    assert len(caplog.records) == 1
    assert "is not writable (Read-only file system)" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_hash_is_read_once_and_again_when_the_file_changed(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    sha256 = files.file_sha256(path)
    read = []
    monkeypatch.setattr(files, "file_sha256", lambda file: read.append(file) or sha256)
    assert [has_hash(path, sha256) for _ in range(3)] == [True] * 3
    assert len(read) == 1
    assert not has_hash(path, "0" * 64)
    path.write_bytes(b"abcd")
    has_hash(path, sha256)
    forget_hashes()
    has_hash(path, sha256)
    assert len(read) == 4


def test_only_what_is_old_and_of_that_name_is_swept(tmp_path):
    names = ("a.json.1.part", "a.json.2.part", "b.json.1.part", "a.json")
    for name in names:
        (tmp_path / name).mkdir() if name == names[0] else (tmp_path / name).touch()
        if name != names[1]:
            os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path, "a.json", older_than=60.0) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    assert sweep(tmp_path, older_than=0.0) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
