"""The contracts as rows of `meta`, which the inventory models read.

Belongs here: writing what contracts say, and whether their system is connected. Does not belong
here: reading contracts (`sources.contract_document`), or the inventory itself (dbt).
"""

from __future__ import annotations

from orchestration.connections import Connections
from orchestration.settings import settings
from sources.contract import Catalogue, Contract
from sources.contract_document import CONTRACTS_DIR, load_catalogue
from sources.errors import ContractError
from sources.raw_table import Connection, ensure_raw_table


def configured_catalogue() -> Catalogue:
    """The city's contracts and those of the folders that the settings add."""
    return load_catalogue([CONTRACTS_DIR, *settings().extra_contracts])


def synchronise(
    connection: Connection, catalogue: Catalogue, linked: Connections
) -> list[ContractError]:
    """Store every contract, mark those that are gone, and make the raw tables.

    While some document cannot be read none is taken for gone: it may be that very one, and what is
    red in a dataset that is gone keeps nothing back any more. Returns the contracts whose raw table
    cannot be made, each with its reason; the others stand.
    """
    errors: list[ContractError] = []
    for contract in catalogue.contracts.values():
        _store(connection, contract, linked.reads(contract))
        try:
            with connection.transaction():
                ensure_raw_table(connection, contract)
        except ContractError as error:
            errors.append(error)
    if not catalogue.errors:
        connection.execute(
            "update meta.contrato set vigente = false, actualizado_en = now() "
            "where vigente and not dataset = any(%s)",
            [list(catalogue.contracts)],
        )
    return errors


def _store(connection: Connection, contract: Contract, connected: bool) -> None:
    fact = {
        "dataset": contract.id,
        "sistema": contract.system,
        "nombre": contract.title,
        "descripcion": contract.description,
        "tabla_raw": contract.raw_name,
        "version": contract.version,
        "contrato_sha256": contract.sha256,
        "secretaria": contract.owner,
        "responsable": contract.responsible,
        "referente": contract.champion,
        "frecuencia": contract.frequency,
        "formato": contract.kind,
        "motor": contract.kind,
        "clasificacion": contract.classification,
        "prioridad": contract.priority,
        "contiene_personas": contract.has_people,
        "modo_carga": contract.load_mode,
        "configurado": connected,
        "vigente": True,
    }
    known = connection.execute(
        "select contrato_sha256, configurado, vigente from meta.contrato where dataset = %s",
        [contract.id],
    ).fetchone()
    if known == (contract.sha256, connected, True):
        return
    from psycopg import sql

    names = list(fact)
    connection.execute(
        sql.SQL(
            "insert into meta.contrato ({columns}) values ({values}) "
            "on conflict (dataset) do update set {updates}, actualizado_en = now()"
        ).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            values=sql.SQL(", ").join(map(sql.Placeholder, names)),
            updates=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names[1:]
            ),
        ),
        fact,
    )
    connection.execute("delete from meta.contrato_campo where dataset = %s", [contract.id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into meta.contrato_campo (dataset, orden, campo, campo_origen, tipo_logico, "
            "tipo_fisico, descripcion, obligatorio, es_clave, clasificacion, campo_protocolo) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (contract.id, order, c.name, c.source_name, c.logical_type, c.pg_type,
                 c.description, c.required, c.primary_key, c.classification, c.protocol_field)
                for order, c in enumerate(contract.columns, start=1)
            ],
        )  # fmt: skip
