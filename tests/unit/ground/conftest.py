"""A folder for what is compiled, apart from the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax._src import compilation_cache

from bknn import precision
from bknn.storage import compiled


@pytest.fixture
def kept(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder in which JAX keeps what it compiles."""
    monkeypatch.setattr(compilation_cache, "get_file_cache", compilation_cache.get_file_cache)
    monkeypatch.setattr(compiled, "_KEPT", [])
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    precision.prepare()
    compilation_cache.reset_cache()
    yield tmp_path / "bknn" / "xla"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
