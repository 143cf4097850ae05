"""What is compiled is kept in a private folder, and an entry that is not what it should be is not
used."""

from __future__ import annotations

import os
import stat

import jax
import numpy as np
import pytest

from bknn import errors, precision
from bknn.storage import compiled
from bknn.storage.compiled import Checked, private


def test_entries_come_back(tmp_path):
    cache = Checked(tmp_path)
    assert cache.get("a") is None
    cache.put("a", b"one")
    cache.put("a", b"two")
    assert cache.get("a") == b"two"
    assert [x.name for x in tmp_path.iterdir()] == ["a.xla"]


@pytest.mark.parametrize("damage", [lambda x: b"", lambda x: x[:-1], lambda x: x[:-1] + b"!"])
def test_damaged_entries_are_not_used(tmp_path, damage):
    cache = Checked(tmp_path)
    cache.put("a", b"program")
    (tmp_path / "a.xla").write_bytes(damage((tmp_path / "a.xla").read_bytes()))
    assert cache.get("a") is None
    cache.put("a", b"program")
    assert cache.get("a") == b"program"


def test_the_folder_is_the_users_alone(tmp_path):
    folder = tmp_path / "bknn" / "xla"
    assert private(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)  # as earlier versions made it
    assert stat.S_IMODE(private(folder).stat().st_mode) == 0o700


def test_a_folder_of_others_is_refused(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("open", "link", "file", "file/xla"):
        with pytest.raises(errors.DataError, match="compiled programs are not kept"):
            private(tmp_path / name)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(errors.DataError, match="you alone can write"):
        private(tmp_path / "theirs")


def test_a_swapped_entry_gives_no_wrong_number(kept):
    def double(x):
        return x * 2.0

    def triple(x):
        return x * 3.0

    x = np.arange(3.0)
    files = []
    for function in (double, triple):
        before = set(kept.iterdir())
        jax.jit(function)(x)
        files.append(*(set(kept.iterdir()) - before))
    first, second = (file.read_bytes() for file in files)
    files[0].write_bytes(second)
    files[1].write_bytes(first)
    jax.clear_caches()
    np.testing.assert_array_equal(jax.jit(double)(x), 2 * x)
    np.testing.assert_array_equal(jax.jit(triple)(x), 3 * x)
    # Compiled anew, and put right; the next run finds them.
    assert [file.read_bytes()[32:64] for file in files] != [second[32:64], first[32:64]]
    jax.clear_caches()
    hits = []
    monitor = lambda event, **_: hits.append(event)  # noqa: E731
    jax.monitoring.register_event_listener(monitor)
    try:
        np.testing.assert_array_equal(jax.jit(double)(x), 2 * x)
    finally:
        jax.monitoring.unregister_event_listener(monitor)
    assert "/jax/compilation_cache/cache_hits" in hits


def test_what_cannot_be_private_is_said_once_and_not_used(monkeypatch, tmp_path):
    (tmp_path / "bknn").touch()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    with pytest.warns(errors.DataWarning, match="compiled programs are not kept"):
        precision.prepare()
    assert jax.config.jax_compilation_cache_dir == before
    assert compiled.private(tmp_path / "other").is_dir()
