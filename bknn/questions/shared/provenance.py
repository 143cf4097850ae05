"""What is needed to repeat a computation."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis


def provenance(analysis: Analysis, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed to repeat a computation: versions, data checksums, settings."""
    return {
        **versions(),
        "seed": settings.get("seed"),
        "data_sha256": {m.name: m.sha256 for m in analysis.measurements},
        "channels": {m.name: list(m.entries) for m in analysis.measurements},
        "response": analysis.response,
        "settings": dict(settings),
        "sources": [
            *(str(s) for m in analysis.measurements for s in m.sources),
            *(s.source for s in getattr(analysis.model, "form_factors", {}).values()),
        ],
    }


def versions() -> dict[str, Any]:
    import jax

    return {
        "version": metadata.version("bknn"),
        "python": platform.python_version(),
        "packages": {n: metadata.version(n) for n in ("jax", "jaxlib", "numpy", "scipy", "optax")},
        "device": jax.devices()[0].device_kind,
    }
