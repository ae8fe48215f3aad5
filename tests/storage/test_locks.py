import errno
import logging
import os
import subprocess
import sys
import time

import pytest

from tlzoo.storage import lock, locks, made_once


def refused(number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


def test_made_once(tmp_path):
    calls = []

    def make(draft):
        calls.append(draft)
        draft.write_text("whole")

    for _ in range(2):
        assert made_once(tmp_path / "deep" / "a.txt", make).read_text() == "whole"
    assert len(calls) == 1
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == [".locks", "a.txt"]


def test_a_folder_that_is_not_whole_is_replaced(tmp_path):
    final = tmp_path / "folder"
    final.mkdir()
    (final / "half").touch()

    def make(draft):
        draft.mkdir()
        (draft / "whole").touch()

    made_once(final, make, is_whole=lambda path: (path / "whole").exists())
    assert [path.name for path in final.iterdir()] == ["whole"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", "folder"]


def test_an_error_leaves_nothing(tmp_path):
    def make(draft):
        draft.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(tmp_path / "a", make)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


MAKE = """
import pathlib, sys, time
from tlzoo.storage import made_once
root = pathlib.Path(sys.argv[1])
def make(draft):
    with (root / "calls").open("a") as file:
        file.write("x")
    time.sleep(0.2)
    draft.write_text("whole")
print(made_once(root / "made", make).read_text())
"""


def test_processes_wait_for_the_first(tmp_path):
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in running] == ["whole\n"] * 3
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_once_and_all_is_made(tmp_path, monkeypatch, caplog, number):
    locks._say_no_locks.cache_clear()
    monkeypatch.setattr("fcntl.flock", refused(number))
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            assert made_once(tmp_path / name, lambda draft, name=name: draft.write_text(name)).read_text() == name
        with lock(tmp_path / "c") as held:
            assert not held
    assert len(caplog.records) == 1
    assert "on a file system without locks" in caplog.text


def test_without_locks_what_another_process_works_on_is_left_alone(tmp_path, monkeypatch):
    live, dead = tmp_path / "a.1.part", tmp_path / "a.2.part"
    for folder in (live, dead):
        folder.mkdir()
    os.utime(dead, (time.time() - 2 * locks._ABANDONED,) * 2)
    monkeypatch.setattr("fcntl.flock", refused(errno.ENOLCK))
    made_once(tmp_path / "a", lambda draft: draft.touch())
    assert live.exists()
    assert not dead.exists()


def test_without_locks_the_slower_of_two_takes_what_the_faster_made(tmp_path, monkeypatch):
    monkeypatch.setattr("fcntl.flock", refused(errno.ENOLCK))
    final = tmp_path / "folder"

    def make(draft):
        for folder in (draft, final):
            folder.mkdir()
            (folder / "whole").touch()
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOTEMPTY, "not empty")))

    assert made_once(final, make, is_whole=lambda path: (path / "whole").exists()) == final


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(OSError, match=r"a does not exist and .* is not writable: .*TLZOO_HOME") as caught:
        made_once(tmp_path / "a", lambda draft: draft.touch())
    assert caught.value.errno == number


def test_what_is_there_needs_no_writing(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr("pathlib.Path.mkdir", refused(errno.EROFS))
    assert made_once(tmp_path / "a", lambda _: pytest.fail("it is there")) == tmp_path / "a"
