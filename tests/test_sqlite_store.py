"""What only the SQLite store does: files, processes, and what it says when the file cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.adapters.sqlite import SqliteStore
from provisioning.errors import ConfigError, Unavailable
from provisioning.rows import Insert, Put
from tests.blocking_store import BlockingStore

ROOT = Path(__file__).parent.parent
WRITER = """
import asyncio, sys
from provisioning.adapters.sqlite import SqliteStore
from provisioning.errors import RowConflict
from provisioning.rows import Put, Replace

async def main(path, name):
    async with SqliteStore(path) as store:
        await store.commit("job", "p", [Put("ready " + name, {})])
        for _ in range(100):
            while True:
                row = await store.get("job", "p", "counter")
                try:
                    await store.commit("job", "p", [Replace("counter", {"n": row.data["n"] + 1}, row.etag)])
                    break
                except RowConflict:
                    continue

asyncio.run(main(*sys.argv[1:]))
"""


def side_by_side(*programs):
    """The exit codes of Python programs that run at the same time."""
    processes = [subprocess.Popen([sys.executable, "-c", *program], cwd=ROOT) for program in programs]
    return [process.wait(30) for process in processes]


def test_rows_outlive_the_store(runner, tmp_path):
    with BlockingStore(SqliteStore(tmp_path / "state.db"), runner) as store:
        (etag,) = store.commit("job", "p", Insert("k", {"n": 1}))
    with BlockingStore(SqliteStore(tmp_path / "state.db"), runner) as store:
        assert store.get("job", "p", "k").etag == etag
        assert store.commit("job", "p", Put("k", {"n": 1})) != [etag]


def test_a_commit_reaches_the_disk_before_it_is_reported(tmp_path):
    connection = SqliteStore(tmp_path / "state.db")._connection
    full = 2
    assert connection.execute("PRAGMA synchronous").fetchone() == (full,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_processes_that_share_a_file_lose_no_update(runner, tmp_path):
    path = tmp_path / "state.db"
    with BlockingStore(SqliteStore(path), runner) as store:
        store.commit("job", "p", Insert("counter", {"n": 0}))
        assert side_by_side([WRITER, path, "a"], [WRITER, path, "b"]) == [0, 0]
        assert store.get("job", "p", "counter").data == {"n": 200}


def test_processes_may_open_a_new_file_together(tmp_path):
    path = tmp_path / "state.db"
    opener = "import sys; from provisioning.adapters.sqlite import SqliteStore; SqliteStore(sys.argv[1])"
    assert side_by_side(*[[opener, path]] * 4) == [0] * 4


def test_a_file_that_another_process_holds_is_unavailable_and_says_so(runner, tmp_path):
    path = tmp_path / "state.db"
    with BlockingStore(SqliteStore(path, busy_timeout=0.05), runner) as store:
        store.commit("job", "p", Insert("k", {}))
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(Unavailable, match=r"SQLITE_BUSY.*another process"):
                store.commit("job", "p", Put("k", {}))
        finally:
            holder.close()
        store.commit("job", "p", Put("k", {}))


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "state.db"
    path.write_text("not a database " * 100)
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        SqliteStore(path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="Name a file in a folder that exists"):
        SqliteStore(tmp_path / "nowhere" / "state.db")


def test_a_file_of_another_format_is_refused(tmp_path):
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(ConfigError, match="format 7"):
        SqliteStore(path)
