"""What goes wrong at a CKAN portal, and what a person is told of it.

Belongs here: the errors this package raises on the way, and the words for them and for those of
CKAN, the network and the DataStore's database. Does not belong here: telling them apart in an
answer and trying again (`client.py`), or what the data have to be (`publisher.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import requests
from ckanapi.errors import CKANAPIError, NotAuthorized, ValidationError

from exports.errors import PortalError

_LATER = "vuelva a publicar más tarde: solo se envía lo que falta."


class TemporaryError(Exception):
    """The portal asked to come back later, or stumbled; `retry_after` in seconds, 0 unless said."""

    def __init__(self, action: str, status: int, retry_after: float) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(f"respondió {status} a {action}")


class NoRoomError(Exception):
    """The portal has no room, or takes no file of this size: repeating will not help."""


class MissingActionError(Exception):
    """The portal does not know an action that we need: an extension of CKAN is not there."""


class StaleError(Exception):
    """What the public sees is not (yet) what was just published."""


class DifferentBytesError(Exception):
    """A download is not what was sent; read again, it may be."""


class ChangedMeanwhileError(Exception):
    """Somebody saved the dataset between our look and our change."""


_EXPLAINED = (
    CKANAPIError,
    ChangedMeanwhileError,
    MissingActionError,
    NoRoomError,
    StaleError,
    TemporaryError,
    psycopg.Error,
    requests.RequestException,
)


@contextmanager
def explained(
    dataset: str, *, url: str, token: str, organization: str, max_wait: float
) -> Iterator[None]:
    """Turn what CKAN and the network raise into one PortalError a person can act upon.

    It never holds the token, whatever the portal answered.
    """
    try:
        yield
    except _EXPLAINED as error:
        what, next_step = _in_words(error, url, organization, max_wait)
        hidden = what.replace(token, "***") if token else what
        raise PortalError(f"{hidden}.", dataset=dataset, next_step=next_step) from error


def _in_words(error: Exception, url: str, organization: str, max_wait: float) -> tuple[str, str]:
    """What happened and the next step; `max_wait` is how many seconds we wait when asked to."""
    match error:
        case NotAuthorized():
            what = (
                "el portal no permite esta operación con el token configurado (venció, se revocó o "
                "su usuario no tiene permiso)"
            )
            next_step = (
                "revise CKAN_TOKEN y que su usuario pueda editar la organización "
                f"'{organization}' y sus grupos; lo publicado queda como está."
            )
        case ValidationError():
            details = {key: value for key, value in error.error_dict.items() if key != "__type"}
            what = f"el portal no acepta lo enviado: {json.dumps(details, ensure_ascii=False)}"
            next_step = "corrija la definición; lo publicado antes queda como está."
        case NoRoomError():
            what = f"el portal {url} no tiene lugar para el archivo ({error})"
            next_step = (
                "pida a quien administra el portal que libere espacio o suba el tamaño máximo; lo "
                "publicado queda como está y la próxima corrida envía lo que falta."
            )
        case MissingActionError():
            what = f"el portal {url} no tiene la acción {error}"
            next_step = (
                "pida a quien administra el portal que active la extensión `datastore` de CKAN "
                "(`ckan.plugins`); lo publicado queda como está."
            )
        case TemporaryError(retry_after=seconds):
            asked = f"el portal pide esperar {seconds:.0f} s; " if seconds > max_wait else ""
            what = f"el portal {url} no pudo completar el pedido ({error})"
            next_step = f"{asked}{_LATER}"
        case StaleError():
            what = f"el portal {url} {error}"
            next_step = (
                "vuelva a publicar en unos minutos; si persiste, quien administra el portal debe "
                "vaciar su caché o revisar sus réplicas."
            )
        case psycopg.Error():
            what = f"no se pudo escribir en la base del DataStore ({type(error).__name__})"
            next_step = (
                "revise CKAN_DATASTORE_URL y esa base; sin ese dato se carga por la API del "
                "portal. Lo publicado queda como está."
            )
        case requests.RequestException():
            what = f"no se pudo hablar con el portal {url} ({type(error).__name__})"
            next_step = (
                "revise la red y la dirección del portal y vuelva a publicar: solo se envía lo que "
                "falta."
            )
        case _:
            # ckanapi's own texts are whole answers of the portal: their type says as much.
            words = type(error).__name__ if isinstance(error, CKANAPIError) else str(error)
            what = f"el portal {url} no pudo completar el pedido ({words})"
            next_step = _LATER
    return what, next_step
