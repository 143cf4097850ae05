"""Files are complete or not there, and one that was changed is known."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import xarray

import bknn
from bknn import errors
from bknn.answers.answer import Answer
from bknn.inference.toys.toys import Toys
from bknn.storage import files, sealed


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_rights_are_those_of_the_umask(tmp_path, mask):
    path = tmp_path / "a" / "b" / "file"
    with umask(mask), files.replacing(path) as temporary:
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    assert list(path.parent.iterdir()) == [path]


def test_links_are_replaced_and_names_are_not_known(tmp_path):
    mine, path = tmp_path / "mine", tmp_path / "result"
    mine.write_text("mine")
    path.symlink_to(mine)
    seen = set()
    for text in ("one", "two"):
        with files.replacing(path) as temporary:
            seen.add(temporary.name)
            temporary.write_text(text)
    assert (path.read_text(), mine.read_text(), path.is_symlink()) == ("two", "mine", False)
    assert len(seen) == 2
    assert sorted(x.name for x in tmp_path.iterdir()) == ["mine", "result"]


def test_a_link_in_the_way_of_a_file_that_is_written(tmp_path, monkeypatch):
    """Even if somebody knew the name."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "known")
    (tmp_path / ".bknn-known.part").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="result"), files.replacing(tmp_path / "result"):
        raise AssertionError
    assert not (tmp_path / "mine").exists()


def damaged(raw: bytes, seed: int) -> Iterator[bytes]:
    """Yield bytes with one bit flipped, cut short, or with more of them at the end."""
    draw = random.Random(seed)
    for _ in range(30):
        wrong = bytearray(raw)
        wrong[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        yield bytes(wrong)
    for _ in range(8):
        yield raw[: draw.randrange(len(raw))]
    yield raw + raw[-1:]
    yield b""


def test_a_damaged_result_is_refused(tmp_path):
    content = {"a": [1.5, None, -0.0, 10**20], "ü": {"b": True, "c": "text \u2028 é"}, "d": 1e-300}
    path = tmp_path / "result.json"
    text = json.dumps(sealed.sealed(content), indent=2)
    path.write_text(text)
    assert sealed.read_json(path) == content
    # However it is laid out.
    path.write_text(json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True))
    assert sealed.read_json(path) == content
    told = []
    for wrong in damaged(text.encode(), seed=1):
        path.write_bytes(wrong)
        try:
            assert sealed.read_json(path, "look") == content  # a space, say
        except errors.DataError as problem:
            told.append(str(problem))
    assert len(told) > 25
    assert [sentence for sentence in told if not sentence.endswith("; look.")] == []


@pytest.fixture(scope="module")
def answer() -> Answer:
    some = np.arange(5.0)
    return Toys(
        "words", "checksum", {"mu": 1.0}, {}, {}, np.zeros(5, int), np.arange(5), {"mu": some}, {},
        some, {}, some, np.zeros(5, int),
    )  # fmt: skip


def test_a_damaged_answer_is_refused(answer, tmp_path):
    path = answer.save(tmp_path / "a" / "answer.nc")
    raw = path.read_bytes()
    assert bknn.load(path).to_dataset().identical(answer.to_dataset())
    for wrong in damaged(raw, seed=2):
        path.write_bytes(wrong)
        with pytest.raises(errors.DataError, match=r"answer\.nc .*; compute it again\.$"):
            bknn.load(path)


def test_other_programs_take_no_notice_of_the_checksum(tmp_path):
    made = xarray.Dataset({"x": ("a", np.arange(3.0))})
    for engine in ("scipy", "h5netcdf"):
        path = tmp_path / f"{engine}.nc"
        made.to_netcdf(path, engine=engine)
        sealed.seal(path)
        assert xarray.load_dataset(path, engine=engine).identical(made)
