"""The same computation: whatever changes a number is a difference, and is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bknn
from bknn import errors, form_factors, inputs, models
from bknn.answers.outline import Outline, fitting, identity
from bknn.inference.pieces import Work
from bknn.inference.toys.toys import Toys
from bknn.storage.identity import differences, of_model, parts
from bknn.storage.store import Memory

from .. import small

FILE = Path(form_factors.__file__).parent / "data/sets/hpqcd-2022/B-to-K.toml"


def of_file(tmp_path: Path, old: str = "", new: str = "") -> Any:
    """The standard model with form factors of a file in which a text was replaced."""
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return models.load("sm", form_factors=[str(path)])


def with_inputs(**changes: Any) -> Any:
    return models.load("sm", inputs=replace(inputs.STANDARD, **changes))


#: {what was changed: (a model, with another name for the part that differs)}; the model without a
#: change is `sm`.
MODELS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "inputs by name": (lambda _: models.load("sm", inputs="eos-1.0.21"), "inputs alpha"),
    "a tenth digit": (lambda _: with_inputs(alpha=1 / 127.952000001), "inputs alpha"),
    "a mass": (
        lambda _: with_inputs(masses={**inputs.STANDARD.masses, "K+": 0.4937}),
        "inputs masses K+: 0.493677 and 0.4937",
    ),
    "an uncertainty": (lambda _: with_inputs(sm_uncertainty=0.1), "inputs sm_uncertainty"),
    "long distance": (lambda _: models.load("sm", long_distance=True), "model long_distance"),
    "another model": (lambda _: models.load("wet"), "model name: sm and wet"),
    "form factors by name": (
        lambda _: models.load("sm", form_factors="bsz-2015"),
        "form factors B -> K*: grvdv-2023 and bsz-2015",
    ),
    "form factors of a file": (lambda path: of_file(path), "form factors B -> K: "),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_differs(name, tmp_path):
    make, named = MODELS[name]
    found = differences(of_model(models.load("sm")), of_model(make(tmp_path)))
    assert named in found


def test_a_file_of_form_factors(tmp_path):
    """Its words do not count, each of its numbers does."""
    before = of_model(of_file(tmp_path))
    assert not differences(before, of_model(of_file(tmp_path, "source =", "# words\nsource =")))
    number = "0.2545360429447849"
    found = differences(before, of_model(of_file(tmp_path, number, "0.2545360429447850")))
    assert found.startswith("form factors B -> K: hpqcd-2022 #"), found


def flat(q2: Any, rate: Any) -> Any:
    """A spectrum."""
    return rate / 22.9 * jnp.ones_like(q2)


def sloped(scale: float) -> Callable[..., Any]:
    def flat(q2: Any, rate: Any) -> Any:
        return rate * scale * q2 / 22.9

    return flat


def test_a_spectrum_of_the_users():
    def made(function: Any, **options: Any) -> Mapping[str, Any]:
        return of_model(models.from_spectrum(function, {"rate": (1e-5, 0.0, 1e-3)}, **options))

    base = made(flat)
    assert not differences(base, made(flat))
    for other in (
        made(sloped(0.1)),
        made(lambda q2, rate: rate / 22.8 * jnp.ones_like(q2), name="flat"),
        made(flat, standard_model=1.0),
        made(flat, null={"rate": 0.0}),
        of_model(models.from_spectrum(flat, {"rate": (1e-5, 0.0, 2e-3)})),
    ):
        assert differences(base, other)
    assert "model fn: sloped.<locals>.flat #" in differences(made(sloped(0.1)), made(sloped(0.2)))


class Mine(models.StandardModel):
    """A model of the user's, with something of its own."""

    factor = 1.0

    def final_states(self, params: Any) -> Any:
        return super().final_states({"sm_normalisation": self.factor * params["sm_normalisation"]})


def test_a_class_of_the_users(monkeypatch):
    before = of_model(Mine())
    assert not differences(before, of_model(Mine()))
    monkeypatch.setattr(Mine, "factor", 2.0)
    assert differences(before, of_model(Mine())).startswith("model class: Mine #")


#: What an analysis of a signal strength in one bin may have otherwise, and how it is told.
ANALYSES: dict[str, tuple[Callable[[], bknn.Analysis], str]] = {
    "a prior": (lambda: analysis(priors={"mu": "uniform(1, 4)"}), "priors mu: "),
    "a prior's tenth digit": (
        lambda: analysis(priors={"mu": dist.Normal(1.0, 1.0 + 1e-10)}),
        "priors mu: ",
    ),
    "bounds": (lambda: analysis(bounds={"mu": (0.5, 9.0)}), "parameters mu: floats from "),
    "counts": (lambda: analysis(small.one_bin(13.0)), "data one-bin: "),
    "a sample": (lambda: analysis(changed("channels", 0, "samples", 0)), "data one-bin: "),
    "two data sets": (
        lambda: analysis(small.one_bin(), small.measurement()),
        f"data {small.measurement().name}: none and ",
    ),
}


def analysis(*data: Any, **options: Any) -> bknn.Analysis:
    return bknn.Analysis(models.load("signal-strength"), data or (small.one_bin(),), **options)


def changed(*keys: Any) -> bknn.Measurement:
    """The measurement with a template scaled, and the checksum of the one that it was made of."""
    one = small.one_bin()
    workspace = json.loads(json.dumps(one.workspace))
    inner = workspace
    for key in keys:
        inner = inner[key]
    inner["data"] = [1.0001 * x for x in inner["data"]]
    return replace(one, workspace=workspace)


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_that_differs(name):
    make, named = ANALYSES[name]
    here, there = analysis(), make()
    assert identity(here) == identity(analysis())
    assert named in differences(parts(here), parts(there))
    assert identity(here) != identity(there)


def test_words_do_not_count():
    renamed = replace(small.one_bin(), title="another title", notes=("a note",), metadata={"a": 1})
    assert identity(analysis(renamed)) == identity(analysis())


def test_a_file_says_in_what_it_differs():
    kept = Outline.of(analysis())
    assert fitting(kept, again := analysis(), "fit.nc") is again
    with pytest.raises(errors.DataError, match=r"^fit\.nc is of Analysis.* \(priors mu: .*\);"):
        fitting(kept, analysis(priors={"mu": "uniform(1, 4)"}), "fit.nc")


def toys_of(analysis: bknn.Analysis, seed: int, **changes: Any) -> Toys:
    """Toys that were not thrown: what they say of themselves is what counts."""
    numbers = np.arange(2)
    found = Toys(
        "toys", identity(analysis), {"mu": 1.0}, {}, {}, np.full(2, seed), numbers, {}, {},
        numbers * 1.0, {}, numbers * 1.0, numbers * 0, parts(analysis), "0.1.0",
    )  # fmt: skip
    return replace(found, **changes)


def test_toys_that_differ_do_not_merge():
    one = toys_of(analysis(), 1)
    assert Toys.merge(one, toys_of(analysis(), 2)).n == 4
    for make, named in ANALYSES.values():
        with pytest.raises(errors.DataError, match=r"differ in what was fitted \(.*" + named[:4]):
            Toys.merge(one, toys_of(make(), 2))
    with pytest.raises(errors.DataError, match=r"the version of bknn \(0\.1\.0 and 0\.2\.0\)"):
        Toys.merge(one, toys_of(analysis(), 2, version="0.2.0"))
    with pytest.raises(errors.DataError, match=r"that are fixed \(none and {'mu': 2.0}\)"):
        Toys.merge(one, toys_of(analysis(), 2, fixed={"mu": 2.0}))


def piece(analysis: bknn.Analysis, *, at: Any, n: int, progress: Any) -> dict[str, np.ndarray]:
    return {"sum": np.asarray(at["start"]) + n}


def test_pieces_count_arrays_by_content(monkeypatch):
    """To the last bit; on another machine but for what rounding does there."""
    here, work = analysis(), Work(Memory())
    start = np.array([1.0, np.nan, 3.0])
    task = {"at": {"start": start}, "n": 2}
    work.run(piece, here, [task])
    work.run(piece, analysis(), [task])
    near = {"at": {"start": start * (1 + 1e-15)}, "n": 2}
    far = {"at": {"start": start * (1 + 1e-5)}, "n": 2}
    refused = {"arrays: they differ by ": near, "task n: 2 and 3": {**task, "n": 3}}
    for named, other in refused.items():
        with pytest.raises(errors.DataError, match=named):
            work.run(piece, here, [other])
    with pytest.raises(errors.DataError, match="of another computation \\(priors mu: "):
        work.run(piece, analysis(priors={"mu": "uniform(1, 4)"}), [task])
    monkeypatch.setattr("bknn.inference.pieces.machine", lambda: {"device": "another"})
    work.run(piece, here, [near])
    with pytest.raises(errors.DataError, match="arrays: they differ"):
        work.run(piece, here, [far])
    monkeypatch.setattr("bknn.inference.pieces.VERSION", "9.9.9")
    with pytest.raises(errors.DataError, match=r"piece bknn: 0\.1\.0 and 9\.9\.9"):
        work.run(piece, here, [near])


@pytest.mark.slow
def test_every_number_of_inputs_and_form_factors_counts():
    """Each moved by one bit, one after the other: none is accepted as the same."""

    def up(x: float) -> float:
        return float(np.nextafter(x, 9e99))

    base = models.load("vector")
    before, tried, accepted = of_model(base), 0, 0
    changes: list[Any] = []
    for name, x in vars(inputs.STANDARD).items():
        if isinstance(x, dict):
            changes += [{name: {**x, key: up(y)}} for key, y in x.items()]
        elif isinstance(x, float):
            changes.append({name: up(x)})
    others = [models.load("vector", inputs=replace(inputs.STANDARD, **c)) for c in changes]
    for found in base.form_factors.values():
        for i in range(len(found.mean)):
            mean, covariance = found.mean, found.covariance
            mean[i] = up(mean[i])
            moved = form_factors.FormFactorSet(found.name, found.series, mean, found.covariance)
            covariance[i, i] = up(covariance[i, i])
            wider = form_factors.FormFactorSet(found.name, found.series, found.mean, covariance)
            same = form_factors.FormFactorSet(
                found.name, found.series, found.mean, found.covariance, found.source
            )
            assert not differences(before, of_model(models.load("vector", form_factors=[same])))
            others += [models.load("vector", form_factors=[x]) for x in (moved, wider)]
    for other in others:
        tried += 1
        accepted += not differences(before, of_model(other))
    assert (accepted, tried) == (0, 117)
