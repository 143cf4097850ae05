"""What is needed to repeat a computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bknn.storage.identity import digests, parts
from bknn.storage.machine import versions

if TYPE_CHECKING:
    from bknn.analysis.analysis import Analysis


def provenance(analysis: Analysis, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is needed to repeat a computation: versions, data checksums, settings."""
    return {
        **versions(),
        "seed": settings.get("seed"),
        "data_sha256": {m.name: m.sha256 for m in analysis.measurements},
        "computation": digests(parts(analysis)),
        "channels": {m.name: list(m.entries) for m in analysis.measurements},
        "response": analysis.response,
        "settings": dict(settings),
        "sources": [
            *(str(s) for m in analysis.measurements for s in m.sources),
            *(s.source for s in getattr(analysis.model, "form_factors", {}).values()),
        ],
    }
