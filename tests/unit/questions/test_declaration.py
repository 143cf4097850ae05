"""One declaration a question: shell, card, record and Python say the same."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bknn import cli, errors, inference, studies
from bknn.commands import completion, parser
from bknn.questions import QUESTIONS
from bknn.questions.shared import kinds
from bknn.run import card

WHOLE, COMMANDS = cli.parsers()

#: The function of Python that answers a question, or several that do it together.
FUNCTIONS = {
    "fit": inference.fit,
    "profile": inference.profile,
    "limit": inference.limit,
    "significance": inference.significance,
    "toys": inference.toys,
    "impacts": inference.impacts,
    "sample": inference.sample,
    "evidence": inference.evidence,
    "compare": studies.compare,
    "scenarios": studies.scenarios,
    "regions": studies.coupling_regions,
    "project": studies.outlook,
}

#: What must be given, as the shell and cards have it.
NEEDED = {
    "model": ("sm", "sm"),
    "over": ("mu=0:1:2", {"mu": "0:1:2"}),
    "scenarios": ("vector:C_V_L", ["vector:C_V_L"]),
    "alternatives": ("wide:mu=uniform(0, 20)", {"wide": {"mu": "uniform(0, 20)"}}),
}

each = pytest.mark.parametrize("name", QUESTIONS)


def written(name: str) -> list[str]:
    """The command of a question with nothing but what it needs."""
    words = [name.replace("_", "-")]
    for one in QUESTIONS[name].options():
        if one.needed:
            words += [one.flag, NEEDED[one.name][0]] if one.flag else [NEEDED[one.name][0]]
    return words


@each
def test_the_shell_a_card_and_the_record_have_the_same_words(name, tmp_path):
    own = COMMANDS.choices[name.replace("_", "-")]
    where = {"help", "out", "figures", "json", "resume", "functions"}  # how, not what is asked
    options = {action.dest for action in own._actions} - where
    from_shell = parser.read(QUESTIONS[name], WHOLE.parse_args(written(name)))
    assert options == set(from_shell.record())
    keys = {one.name for section in card.SECTIONS.values() for one in section.values()}
    assert options <= {*keys, "prior"}

    text = f"[{name}]\n"
    for one in QUESTIONS[name].options():
        if one.needed and one.flag + one.name != "model":
            text += f"{one.key} = {toml(NEEDED[one.name][1])}\n"
    path = tmp_path / "card.toml"
    path.write_text('[model]\nname = "sm"\n' + text)
    assert card.Card.read(path).questions[name] == from_shell


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(x)}" for k, x in value.items()) + "}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else f'"{value}"'


@pytest.mark.parametrize("name", FUNCTIONS)
def test_python_has_the_same_words_and_defaults(name):
    known = inspect.signature(FUNCTIONS[name]).parameters
    for one in QUESTIONS[name].options():
        keyword = one.more.get("keyword", one.name)
        if not keyword:
            continue
        assert keyword in known, (name, one.name)
        theirs = known[keyword].default
        if theirs not in (None, inspect.Parameter.empty) and not one.needed:
            assert theirs == one.default, (name, one.name)


@each
def test_the_record_is_complete_and_is_json(name):
    asked = parser.read(QUESTIONS[name], WHOLE.parse_args(written(name)))
    for one in asked.options():
        if not one.needed:
            assert asked.record()[one.name] == kinds.as_json(one.default)


def test_options_that_the_record_had_lost():
    words = ["toys", "sm", "--no-uncertainties"]
    toys = parser.read(QUESTIONS["toys"], WHOLE.parse_args(words))
    assert toys.record()["uncertainties"] is False
    words = ["predict", "vector", "--fit", "belle2-2025", "--around", "0.5", "1"]
    predict = parser.read(QUESTIONS["predict"], WHOLE.parse_args(words))
    assert predict.record()["around"] == [0.5, 1.0]


@each
def test_help_has_the_defaults(name):
    page = " ".join(COMMANDS.choices[name.replace("_", "-")].format_help().split())
    for one in QUESTIONS[name].options():
        if isinstance(one.default, int | float) and not isinstance(one.default, bool):
            shown = one.more.get("shown", one.default)
            assert f"(default: {shown})" in page, one.name


def test_seeds_are_where_something_is_random():
    having = {name for name, q in QUESTIONS.items() if any(x.name == "seed" for x in q.options())}
    assert having == set(QUESTIONS) - {"fit", "profile", "impacts", "scenarios", "regions"}


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("--fix mass=2.1 vector", "vector"),
        ("--init h_V=1e-9 --fix mass=2.1 vector --out x", "vector"),
        ("vector --fix mass=2.1", "vector"),
        ("--method adam --bounds mass=0:4 vector", "vector"),
        ("--fix=mass=2.1 vector", "vector"),
    ],
)
def test_a_model_after_values(words, model):
    args = cli._read(["fit", *words.split()])
    assert parser.read(QUESTIONS["fit"], args).model == model


def test_order_of_what_stands_alone():
    words = "evidence --fix mass=2.1 resonance background --draws 10 scalar"
    asked = parser.read(QUESTIONS["evidence"], cli._read(words.split()))
    assert (asked.model, asked.against) == ("resonance", ("background", "scalar"))
    assert (asked.fix, asked.draws) == ({"mass": 2.1}, 10)
    again = parser.read(QUESTIONS["fit"], cli._read(["fit", "sm", "--fix", "a=1", "--fix", "b=-2"]))
    assert again.fix == {"a": 1.0, "b": -2.0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("fti sm", "unknown command 'fti'; did you mean 'fit'"),
        ("fit sm --fxi a=1", "unknown option '--fxi' in bknn fit; did you mean '--fix'"),
        ("models --al", "unknown option '--al' in bknn models"),
        ("fit sm --method newtn", "unknown method 'newtn'; did you mean 'newton'?"),
        ("fit sm vector", "'vector' is one word too many"),
        ("limit sm --toys 1.5", "--toys '1.5' is no whole number"),
        ("fit sm --seed 1", "unknown option '--seed' in bknn fit"),
        ("predict sm --fit belle2-2025 --set mass=2", "kept by --fix, as in --fix mass=2"),
        ("predict sm --fix mass=2", "--fix is about a fit; the point is set by --set"),
        ("project --luminosity 1 -5", "--luminosity -5: give positive numbers"),
        ("prior-study sm --alternative mu=1", "is not of the form WORD:NAME=PRIOR"),
    ],
)
def test_words_that_are_none(words, sentence, capsys):
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("bknn: error: ")
    assert sentence in said, said


def test_a_card_says_where(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text('[model]\nname = "sm"\n[limit]\ntoys = 1\n')
    with pytest.raises(errors.ParameterError) as caught:
        card.Card.read(path)
    assert str(caught.value).startswith(f"[limit] of {path}: toys 1 is too few")
    path.write_text('[model]\nname = "sm"\n[limit]\ncl = 95\n')
    with pytest.raises(errors.ParameterError) as caught:
        card.Card.read(path)
    assert str(caught.value).startswith(f"[limit] of {path}: cl 95 is no confidence level")


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("prior-study", "signal-strength", "feldman-cousins"):
        assert word in script
