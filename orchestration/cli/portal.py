"""`lujan portal`: the commands about the open-data portal.

Belongs here: arguments, words and tables of these commands. Does not belong here: any work.
"""

import typer

from orchestration.cli.portal_definitions import register

portal_app = typer.Typer(no_args_is_help=True, help="El portal de datos abiertos.")
register(portal_app)
