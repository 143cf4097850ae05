"""What several files of this folder need."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(scope="session")
def compiled_programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for compiled programs, so that the same fit is compiled once a session."""
    return str(tmp_path_factory.mktemp("xla"))


@pytest.fixture(scope="module")
def quick_compilation(compiled_programs: str) -> Iterator[None]:
    """Compile fast rather than well: for tests of what programs compute, where most of the time
    goes into compiling. The numbers that are published are tested as users compute them.
    """
    options = {
        "jax_compilation_cache_dir": compiled_programs,
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in {**options, "jax_disable_most_optimizations": True}.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in {**before, "jax_disable_most_optimizations": False}.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
