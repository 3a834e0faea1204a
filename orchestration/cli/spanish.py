"""What Typer says by itself, in the language of those who type: help pages and errors of usage.

Belongs here: words for what the library would say in English. Does not belong here: what our own
commands say. Typer ships no translations, so its tree of commands is gone through once, before it
runs, and the text of an error is put into Spanish when it is shown.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer import rich_utils
from typer.core import TyperArgument, TyperGroup, TyperOption

# The base of the library's own errors, which it gives no public name.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

INTERRUPTED = 130
_VALUES = {"int": "NÚMERO", "float": "NÚMERO", "path": "RUTA", "Path": "RUTA"}
_ARGUMENTS = {
    "arguments": "ARGUMENTO",
    "dataset": "CONJUNTO",
    "name": "CONJUNTO",
    "number": "NÚMERO",
    "paths": "RUTA",
    "table": "TABLA",
    "which": "AVISO",
}
_ERRORS = (
    (r"^No such command '(.+?)'", r"No existe la orden «\1»"),
    (r"^No such option: (\S+)", r"No existe la opción \1"),
    (r" ?\(Possible options: (.+)\)$", r". ¿Quiso decir \1?"),
    (r"Did you mean (.+)\?$", r"¿Quiso decir \1?"),
    (r"^Missing argument '?([^']+?)'?\.", r"Falta el argumento \1."),
    (r"^Missing option (.+)\.", r"Falta la opción \1."),
    (r"^Missing command\.", "Falta la orden."),
    (r"^Invalid value: ", ""),
    (r"^Invalid value for (.+?): ", r"El valor de \1 no sirve: "),
    (r"Input should be a valid integer.*$", "tiene que ser un número entero."),
    (r"Input should be a valid number.*$", "tiene que ser un número."),
    (r"Input should be greater than or equal to (\S+)$", r"tiene que ser \1 o más."),
    (r"Input should be less than or equal to (\S+)$", r"tiene que ser \1 o menos."),
    (r"^Got unexpected extra argument\(?s?\)? \((.+)\)", r"Sobra: \1."),
    (r"^Option '(.+)' requires an argument\.", r"La opción \1 necesita un valor."),
    (r"^Option '(.+)' does not take a value\.", r"La opción \1 no lleva valor."),
)


def invoke(app: typer.Typer, errors: Console) -> int:
    """Run what was typed; the exit code. What cannot be understood is said on `errors`.

    Raises what the command raises.
    """
    command = typer.main.get_command(app)
    localise(command)
    try:
        code = command(standalone_mode=False)
    except UsageError as error:
        _show(error, errors)
        return 2
    except typer.Abort:
        errors.print("Cancelado: no se hizo nada.")
        return 1
    return code if isinstance(code, int) else 0


def localise(command: Any) -> None:
    """Put into Spanish what the library says of a command (TyperCommand, TyperGroup) and of all
    below it."""
    rich_utils.OPTIONS_PANEL_TITLE = "Opciones"
    rich_utils.ARGUMENTS_PANEL_TITLE = "Argumentos"
    rich_utils.COMMANDS_PANEL_TITLE = "Órdenes"
    rich_utils.REQUIRED_LONG_STRING = "[obligatorio]"
    rich_utils.DEFAULT_STRING = "[por defecto: {}]"
    command.options_metavar = "[OPCIONES]"
    # On the object: the library takes neither the word nor the kind of an argument from anywhere.
    vars(command)["get_usage"] = partial(_usage, command.get_usage)
    if command.help:
        command.help = _paragraphs(command.help)
    help_option = command.get_help_option(typer.Context(command))
    if help_option is not None:
        help_option.help = "Muestra esta ayuda."
        help_option.metavar = ""
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            parameter.metavar = parameter.metavar or _ARGUMENTS.get(
                str(parameter.name), str(parameter.name).upper()
            )
            vars(parameter)["display_type_rich"] = _no_kind
        elif isinstance(parameter, TyperOption) and parameter.metavar is None:
            kind = parameter.bare_type().removeprefix("list[").removesuffix("]")
            parameter.metavar = "" if parameter.is_flag else _VALUES.get(kind, "TEXTO")
    if isinstance(command, TyperGroup):
        command.subcommand_metavar = "ORDEN [ARGUMENTOS]…"
        for below in command.commands.values():
            localise(below)


def in_words(error: Exception) -> str:
    """The text of an error of usage, in Spanish; what is not known stays as it is."""
    text = str(getattr(error, "format_message", error.__str__)())
    for pattern, words in _ERRORS:
        text = re.sub(pattern, words, text)
    return text


def _show(error: Exception, errors: Console) -> None:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # the help was shown instead
    errors.print(f"[red]Error:[/red] {escape(in_words(error))}", highlight=False)
    if context is not None:
        errors.print(f"Ayuda: {context.command_path} --help", highlight=False)


def _usage(said: Callable[[Any], str], context: Any) -> str:
    return said(context).replace("Usage: ", "Uso: ", 1)


def _no_kind(ctx: Any) -> None:
    """An argument has a name that says what it is."""


def _paragraphs(text: str) -> str:
    """Lines of a docstring joined: a terminal has a width of its own."""
    parts = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(part.replace("\n", " ") for part in parts)
