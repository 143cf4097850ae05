"""One declaration a question: shell, card, record and Python say the same."""

from __future__ import annotations

import inspect
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bknn import cli, errors, inference, studies
from bknn.commands import completion, parser
from bknn.questions import QUESTIONS
from bknn.questions.shared import build, kinds
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
    "exclusions": studies.exclusions,
    "relic": studies.relic,
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
    certain = {"fit", "profile", "impacts", "scenarios", "regions", "exclusions", "relic"}
    assert having == set(QUESTIONS) - certain


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


#: Each prints what a line becomes, or what it may become, when a person asks for completion.
ASKED = {
    "bash": """
source "$1"; shift
for line; do
    read -ra COMP_WORDS <<< "$line"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _bknn; words="${COMP_WORDS[*]:0:COMP_CWORD}"
    # Where there is nothing, bash looks for files by itself: `complete -o default`.
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    echo "$words ${COMPREPLY[*]}"
done
complete -p bknn | grep -q -e '-o default'
""",
    "zsh": """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; autoload -U compinit && compinit -u -D; source $1
    show() { print -r -- \\"<<\\$BUFFER>>\\"; BUFFER=; }; zle -N show; bindkey '^X' show
    print rea''dy"
zpty -r -m shell said '*ready*'
shift
for line; do
    zpty -w -n shell "$line"$'\\t'$'\\x18'
    zpty -r -m shell said '*<<*>>*'
    print -r -- "${${said##*<<}%%>>*}"
done
zpty -d shell
""",
    "fish": """
source $argv[1]
for line in $argv[2..]
    set -l words (string split " " -- $line)
    echo $words[1..-2] (complete -C "$line" | string split -f 1 \\t)
end
""",
}


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_shells_complete(shell, tmp_path):
    """In the shell itself: a command, a model, an option, a file."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(completion.script(shell, COMMANDS))
    (tmp_path / "ask").write_text(ASKED[shell])
    (tmp_path / "my-card.toml").touch()
    lines = ["bknn pri", "bknn fit signal", "bknn limit sm --fel", "bknn run my-c"]
    done = subprocess.run(
        [shell, *(["--no-config"] if shell == "fish" else []), "ask", "./script", *lines],
        cwd=tmp_path, text=True, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "bknn prior-study",
        "bknn fit signal-strength",
        "bknn limit sm --feldman-cousins",
        "bknn run my-card.toml",
    ]


def in_three_places() -> list[str]:
    """Rows of what the shell, a card and Python call differently."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name, question in QUESTIONS.items():
        for one in question.options():
            keyword = one.more.get("keyword", one.name)
            shell = one.flag or str(one.more.get("metavar", one.name.upper()))
            same = one.key == keyword and shell == f"--{keyword.replace('_', '-')}"
            if keyword and not same:
                card_key = f"{one.key} = false" if one.default is True else one.key
                python = f"{keyword}=False" if one.default is True else f"{keyword}="
                rows.setdefault((shell, card_key, python), []).append(name.replace("_", "-"))
    return [
        "| " + " | ".join([*(f"`{x}`" for x in words), ", ".join(f"`{x}`" for x in where)]) + " |"
        for words, where in rows.items()
    ]


def test_words_that_differ_are_documented():
    page = (Path(__file__).parents[3] / "docs" / "runs.md").read_text(encoding="utf-8")
    _, _, below = page.partition("| shell | card | Python | of |\n| --- | --- | --- | --- |\n")
    assert below.split("\n\n")[0].splitlines() == in_three_places()


def test_the_record_names_files_wherever_it_was_asked(tmp_path, monkeypatch):
    (tmp_path / "one.json").touch()
    here = str(tmp_path / "one.json")
    words = ["fit", "sm", "--data", "one.json", "belle2-2025", "--patch", "one.json:more"]
    monkeypatch.chdir(tmp_path)
    record = parser.read(QUESTIONS["fit"], WHOLE.parse_args(words)).record()
    assert record["data"] == [here, "belle2-2025"]
    assert record["patch"] == f"{here}:more"
    (tmp_path / "belle2-2025").mkdir()  # an embedded name comes first, as in `bknn.data.load`
    again = parser.read(QUESTIONS["fit"], WHOLE.parse_args(words)).record()
    assert again == record


@pytest.mark.parametrize("kinetic", [False, True])
def test_an_option_of_a_model_reaches_it(kinetic):
    words = ["relic", "dark-photon", "--over", "m_X=0.9", *["--kinetic"] * kinetic]
    asked = parser.read(QUESTIONS["relic"], WHOLE.parse_args(words))
    assert build.model(asked).kinetic is kinetic
