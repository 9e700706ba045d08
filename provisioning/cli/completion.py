"""Completion of what is typed at a shell: the script for bash and for zsh, and the words that only we know.

typer answers what may follow; its own scripts are for a program that is called by one name, and ours is called
`python -m provisioning`. Therefore the script is bound to the interpreter of the virtual environment, as README.md
writes it, and leaves alone whatever else that runs; and to the name `provisioning`, for whoever makes that an alias.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Literal

from typer._completion_classes import completion_init

VARIABLE = "_PROVISIONING_COMPLETE"
ROOT = Path(__file__).parents[2]
Kind = Literal["bash", "zsh"]

BASH = Template(
    """\
_provisioning_completion() {
    local IFS=$$'\\n' skip=0
    if [[ $${COMP_WORDS[0]} == *python* ]]; then
        [[ $${COMP_WORDS[1]} == -m && $${COMP_WORDS[2]} == provisioning ]] || return 0
        skip=2
    fi
    COMPREPLY=( $$( env PYTHONPATH=$root COMP_WORDS="$${COMP_WORDS[*]:skip}" COMP_CWORD=$$((COMP_CWORD - skip)) \\
                   $variable=complete_bash $python -m provisioning ) )
}
complete -o bashdefault -o default -F _provisioning_completion provisioning $names
"""
)
ZSH = Template(
    """\
#compdef provisioning $names
_provisioning_completion() {
    local skip=1
    if [[ $${words[1]} == *python* ]]; then
        [[ $${words[2]} == -m && $${words[3]} == provisioning ]] || { _files; return; }
        skip=3
    fi
    eval $$(env PYTHONPATH=$root _TYPER_COMPLETE_ARGS="$${words[$$skip,$$CURRENT]}" \\
            $variable=complete_zsh $python -m provisioning)
}
compdef _provisioning_completion provisioning $names
"""
)


def prepare(environ: Mapping[str, str]) -> None:
    """Lets typer answer where a shell asks for words."""
    if VARIABLE in environ:
        completion_init()


def script(kind: Kind, python: str = sys.executable) -> str:
    """What a shell is to evaluate when it starts."""
    names = [".venv/bin/python", python]
    template = BASH if kind == "bash" else ZSH
    return template.substitute(
        root=shlex.quote(str(ROOT)), variable=VARIABLE, python=shlex.quote(python), names=shlex.join(names)
    )


def restart_scopes(incomplete: str) -> Iterator[str]:
    """The values of resetScope, each once, also after a comma."""
    from provisioning.rules.restart import SCOPES  # noqa: PLC0415 - only who completes needs them

    before, comma, begun = incomplete.rpartition(",")
    given = {word.strip().casefold() for word in before.split(",")}
    for scope in SCOPES:
        if scope.casefold().startswith(begun.strip().casefold()) and scope.casefold() not in given:
            yield f"{before}{comma}{scope}"


def record_states(incomplete: str) -> Iterator[str]:
    from provisioning.rules.discovery import STATES  # noqa: PLC0415 - only who completes needs them

    return (state for state in STATES if state.startswith(incomplete))
