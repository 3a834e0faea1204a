"""The weekly digest of findings: one message per area, told once.

Belongs here: what a digest says, writing it down before it is sent, sending what was written.
Does not belong here: how a message travels (`channels.py`), or when (`orchestration/`).

A digest is written in `meta.resumen_hallazgos` first and marked as sent afterwards, while its row
is held. A process that dies in between leaves it pending: it is taken up again with the same text
and the same message number, by which a receiver that had it already can tell.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sources.city import city_timezone
from sources.errors import PipelineError
from sources.raw_table import Connection

Channel = Literal["correo", "webhook"]
# Nobody reads further in a message; the rest is counted and has its command.
SHOWN_PER_SECTION = 25
NO_AREA = "(sin área asignada)"
_CITY_TIME = city_timezone().key
# An old finding is told of again when it passes one of these ages, though nothing else changed.
_AGES_DAYS = (30, 90, 180, 365)
# Any fixed number: one process writes digests at a time.
_LOCK_KEY = 50_063_007
_SECTIONS = (
    ("nuevos", "Nuevos"),
    ("reabiertos", "Volvieron"),
    ("cerrados", "Se cerraron"),
    ("siguen", "Siguen abiertos"),
)


@dataclass(frozen=True, slots=True)
class Digest:
    """One message for one area. `area` is '' for findings that nobody was made responsible for."""

    area: str
    semana: dt.date
    desde_evento: int
    hasta_evento: int
    secciones: Mapping[str, list[dict[str, Any]]]
    huella: str

    @property
    def area_nombre(self) -> str:
        return self.area or NO_AREA

    @property
    def asunto(self) -> str:
        counts = {name: len(self.secciones[name]) for name, _ in _SECTIONS}
        opened = counts["nuevos"] + counts["reabiertos"]
        return (
            f"Hallazgos de calidad · {self.area_nombre} · semana del {self.semana:%d/%m/%Y}: "
            f"{opened} {'nuevo' if opened == 1 else 'nuevos'}, {counts['siguen']} que "
            f"{'sigue' if counts['siguen'] == 1 else 'siguen'}, {counts['cerrados']} "
            f"{'cerrado' if counts['cerrados'] == 1 else 'cerrados'}"
        )

    @property
    def texto(self) -> str:
        """The message as plain text. Names rows by number of finding only, never by key."""
        lines = [
            f"Hallazgos de calidad de {self.area_nombre}, semana del {self.semana:%d/%m/%Y}.",
            "",
        ]
        for name, title in _SECTIONS:
            entries = self.secciones[name]
            if not entries:
                continue
            lines += [f"{title} ({len(entries)})", "-" * len(f"{title} ({len(entries)})")]
            for entry in entries[:SHOWN_PER_SECTION]:
                lines += _entry_lines(entry, closed=name == "cerrados")
            if len(entries) > SHOWN_PER_SECTION:
                lines.append(f"  … y {len(entries) - SHOWN_PER_SECTION} más.")
            lines.append("")
        lines.append("Para ver uno con sus filas de muestra: lujan findings show NÚMERO")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """What is stored, and what a webhook gets."""
        return {
            "area": self.area_nombre,
            "semana": self.semana.isoformat(),
            "asunto": self.asunto,
            "texto": self.texto,
            **self.secciones,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the digest of an area on a channel.

    `error` says why it did not leave, or what is worth knowing of one that did; it has no secret.
    """

    area: str
    canal: Channel
    estado: Literal["enviado", "sin_novedades", "sin_destinatario", "fallido"]
    error: str | None = None


class Sender(Protocol):
    """A way messages go out.

    `send` raises PipelineError when the message did not leave; what it gives back is worth knowing
    of one that did.
    """

    channel: Channel

    def reaches(self, area: str) -> bool: ...
    def send(self, area: str, document: Mapping[str, Any], message_id: str) -> str | None: ...


def week_of(day: dt.date) -> dt.date:
    """The Monday of a day's week."""
    return day - dt.timedelta(days=day.weekday())


def compose(connection: Connection, channel: Channel, today: dt.date) -> list[Digest]:
    """What each area would be told now on a channel, compared with what it was told last.

    Areas with nothing open and nothing that happened since are left out. Writes nothing.
    """
    (last_event,) = _one(connection, "select coalesce(max(evento_id), 0) from meta.hallazgo_evento")
    told = {
        str(area): int(until)
        for area, until in connection.execute(
            "select area, max(hasta_evento_id) from meta.resumen_hallazgos where canal = %s "
            "group by area", [channel],
        )
    }  # fmt: skip
    findings: dict[str, list[dict[str, Any]]] = {}
    for entry in _entries(connection, today):
        findings.setdefault(entry.pop("area"), []).append(entry)
    made = []
    for area, entries in sorted(findings.items()):
        since = told.get(area, 0)
        sections = _sections(entries, since)
        if any(sections.values()):
            made.append(
                Digest(area, week_of(today), since, last_event, sections, _fingerprint(entries))
            )
    return made


def write(
    connection: Connection, channel: Channel, today: dt.date, reaches: Callable[[str], bool]
) -> list[Outcome]:
    """Write down this week's digests that were not written yet; what will not be sent, and why.

    An area gets one digest a week and channel. One that would say what the last one said is
    recorded as `sin_novedades`; one that nobody would get is not written, so nothing it would have
    told is lost when a recipient is named. One transaction of its own.
    """
    outcomes = []
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        written = {
            str(row[0])
            for row in connection.execute(
                "select area from meta.resumen_hallazgos where canal = %s and semana = %s",
                [channel, week_of(today)],
            )
        }
        for digest in compose(connection, channel, today):
            if digest.area in written:
                continue
            if not reaches(digest.area):
                outcomes.append(Outcome(digest.area, channel, "sin_destinatario"))
                continue
            quiet = _says_nothing_new(connection, channel, digest)
            if quiet:
                outcomes.append(Outcome(digest.area, channel, "sin_novedades"))
            connection.execute(
                "insert into meta.resumen_hallazgos (area, canal, semana, desde_evento_id, "
                "hasta_evento_id, huella, estado, mensaje_id, contenido) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    digest.area, channel, digest.semana, digest.desde_evento, digest.hasta_evento,
                    digest.huella, "sin_novedades" if quiet else "pendiente", str(uuid.uuid4()),
                    json.dumps(digest.document(), ensure_ascii=False, default=str),
                ],
            )  # fmt: skip
    return outcomes


def send_pending(connection: Connection, sender: Sender) -> list[Outcome]:
    """Send every digest that waits on the sender's channel, oldest first; what became of each.

    Each row is held while its message travels, so that two processes never send the same one; the
    failure of one keeps none of the others. Commits after each.
    """
    outcomes: list[Outcome] = []
    tried: list[int] = []
    while True:
        with connection.transaction():
            row = connection.execute(
                "select resumen_id, area, contenido, mensaje_id from meta.resumen_hallazgos "
                "where canal = %s and estado = 'pendiente' and not resumen_id = any(%s) "
                "order by resumen_id limit 1 for update skip locked",
                [sender.channel, tried],
            ).fetchone()
            if row is None:
                return outcomes
            digest_id, area, document, message_id = row
            tried.append(digest_id)
            outcomes.append(_send(connection, sender, digest_id, area, document, message_id))


def _send(
    connection: Connection, sender: Sender, digest_id: int, area: str,
    document: Mapping[str, Any], message_id: str,
) -> Outcome:  # fmt: skip
    try:
        note, sent = sender.send(area, document, message_id), True
    except PipelineError as failure:
        note, sent = str(failure), False
    connection.execute(
        "update meta.resumen_hallazgos set intentos = intentos + 1, error = %(note)s, "
        "estado = case when %(sent)s then 'enviado' else estado end, "
        "enviado_en = case when %(sent)s then clock_timestamp() end "
        "where resumen_id = %(id)s",
        {"note": note, "sent": sent, "id": digest_id},
    )
    return Outcome(area, sender.channel, "enviado" if sent else "fallido", note)


def _entries(connection: Connection, today: dt.date) -> list[dict[str, Any]]:
    """Every finding that is open, or that something happened to, as a digest tells of it."""
    rows = connection.execute(
        """
        select coalesce(h.area, ''), h.hallazgo_id, coalesce(h.dataset, h.objeto), h.columna,
            case when h.fuente = 'control' then h.explicacion else h.titulo end,
            h.severidad, h.filas_afectadas, coalesce(h.responsable, 'sin responsable'),
            h.siguiente_paso, h.estado, d.desde, h.cierre_motivo,
            %(today)s - d.desde, e.ultimo_abierto, e.ultimo_reabierto,
            e.ultimo_cerrado, h.visto_por
        from meta.hallazgo h
        cross join lateral (select (h.abierto_desde at time zone %(zone)s)::date as desde) d
        cross join lateral (
            select
                max(evento_id) filter (where tipo = 'abierto') as ultimo_abierto,
                max(evento_id) filter (where tipo = 'reabierto') as ultimo_reabierto,
                max(evento_id) filter (where tipo = 'cerrado') as ultimo_cerrado
            from meta.hallazgo_evento where hallazgo_id = h.hallazgo_id
        ) e
        order by array_position(array['alta', 'media', 'baja'], h.severidad),
            h.filas_afectadas desc nulls first, h.hallazgo_id
        """,
        {"today": today, "zone": _CITY_TIME},
    )
    names = (
        "area", "hallazgo", "conjunto", "columna", "titulo", "severidad", "filas", "responsable",
        "que_hacer", "estado", "desde", "cierre", "dias", "_abierto", "_reabierto", "_cerrado",
        "visto_por",
    )  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in rows]


def _sections(entries: Sequence[Mapping[str, Any]], since: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, _ in _SECTIONS}
    for entry in entries:
        shown = {k: v for k, v in entry.items() if not k.startswith("_")}
        shown["desde"] = entry["desde"].isoformat()
        if entry["estado"] == "cerrado":
            # Opened and closed since the last message: nobody was told, nobody has to be.
            if (entry["_cerrado"] or 0) > since and (entry["_abierto"] or 0) <= since:
                found["cerrados"].append(shown)
        elif (entry["_abierto"] or 0) > since:
            found["nuevos"].append(shown)
        elif (entry["_reabierto"] or 0) > since:
            found["reabiertos"].append(shown)
        else:
            found["siguen"].append(shown)
    return found


def _fingerprint(entries: Collection[Mapping[str, Any]]) -> str:
    """Of what is open: which, how many rows, how old in coarse steps, acknowledged by whom."""
    facts = sorted(
        (e["hallazgo"], e["filas"] or 0, sum(e["dias"] >= age for age in _AGES_DAYS),
         e["visto_por"] or "")
        for e in entries
        if e["estado"] == "abierto"
    )  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _says_nothing_new(connection: Connection, channel: Channel, digest: Digest) -> bool:
    if any(digest.secciones[name] for name in ("nuevos", "reabiertos", "cerrados")):
        return False
    last = connection.execute(
        "select huella from meta.resumen_hallazgos where canal = %s and area = %s "
        "order by resumen_id desc limit 1", [channel, digest.area],
    ).fetchone()  # fmt: skip
    return last is not None and last[0] == digest.huella


def _entry_lines(entry: Mapping[str, Any], *, closed: bool) -> list[str]:
    column = f" · {entry['columna']}" if entry["columna"] else ""
    rows = (
        ""
        if entry["filas"] is None
        else f", {entry['filas']} {'fila' if entry['filas'] == 1 else 'filas'}"
    )
    since = dt.date.fromisoformat(entry["desde"])
    lines = [f"  {entry['hallazgo']}. [{entry['severidad']}] {entry['conjunto']}{column}",
             f"     {entry['titulo']}"]  # fmt: skip
    if closed:
        return [*lines, f"     {entry['cierre']}"]
    lines.append(f"     desde {since:%d/%m/%Y}{rows}; responde {entry['responsable']}")
    if entry["visto_por"]:
        lines.append(f"     lo conoce {entry['visto_por']}")
    return [*lines, f"     Qué hacer: {entry['que_hacer']}"]


def _one(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row
