"""JSON files that are complete or not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bknn.storage.files import replacing


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON atomically: a reader sees the old file or the new one, whole."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
