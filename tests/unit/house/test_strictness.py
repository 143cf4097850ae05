"""The conditions that tests/conftest.py promises."""

from __future__ import annotations

import os
import warnings

import jax
import jax.numpy as jnp
import pytest

import bknn
from bknn import precision


def test_two_devices_and_double_precision():
    assert jax.local_device_count() >= 2
    assert jnp.zeros(1).dtype == "float64"


def test_rank_promotion_is_an_error():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="as an example"):
        warnings.warn("as an example", stacklevel=1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "--xla_cpu_use_fusion_emitters=false --xla_llvm_disable_expensive_passes=true"),
        (
            "--xla_cpu_use_fusion_emitters=true --xla_a=1",
            "--xla_cpu_use_fusion_emitters=true --xla_a=1 --xla_llvm_disable_expensive_passes=true",
        ),
    ],
)
def test_flags_of_the_user_stay(monkeypatch, given, expected):
    monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setattr(precision, "_has_gpu_plugin", lambda: False)
    bknn.enable_x64()
    assert os.environ["XLA_FLAGS"] == expected


def test_a_version_of_xla_that_is_not_known_gets_no_flags(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    monkeypatch.setattr(precision.metadata, "version", lambda name: "0.13.0")
    bknn.enable_x64()
    assert os.environ["XLA_FLAGS"] == "--xla_a=1"


def test_kernels_of_a_gpu_keep_all_passes(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(precision, "_has_gpu_plugin", lambda: True)
    bknn.enable_x64()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_use_fusion_emitters=false"
