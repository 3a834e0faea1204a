"""What a contract document may say, the values it becomes, and how a wrong one is refused.

Documents are small and made here; the city's own are read in `test_contracts_of_the_city.py`.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from sources.contract import Contract, Rule
from sources.contract_document import load_catalogue, load_contract
from sources.errors import ContractError

Document = dict[str, Any]
Change = Callable[[Document], object]

BASE: Document = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "aguas.cisternas",
    "name": "Cisternas",
    "version": "1.2.0",
    "domain": "agua",
    "description": {"purpose": "Cisternas de la red\ny su volumen."},
    "team": {
        "name": "Obras Públicas",
        "members": [
            {"username": "direccion-aguas", "name": "Dirección de Aguas", "role": "responsable"},
            {"username": "referente-aguas", "role": "referente"},
        ],
    },
    "slaProperties": [{"property": "frequency", "value": 3, "unit": "m"}],
    "servers": [{"server": "aguas", "type": "mysql"}],
    "schema": [
        {
            "name": "cisternas",
            "physicalName": "tb_cisternas",
            "properties": [
                {
                    "name": "cisterna_id",
                    "physicalName": "ID",
                    "logicalType": "integer",
                    "physicalType": "integer",
                    "primaryKey": True,
                    "classification": "libre_acceso",
                    "description": "Número de la cisterna.",
                },
                {
                    "name": "volumen_m3",
                    "logicalType": "number",
                    "physicalType": "numeric(10,2)",
                    "description": "Volumen útil, en m³.",
                },
                {
                    "name": "actualizado_en",
                    "logicalType": "timestamp",
                    "physicalType": "timestamptz",
                    "description": "Última modificación.",
                },
            ],
        }
    ],
}


@pytest.fixture
def document() -> Document:
    """A document with nothing wrong in it, to be changed freely."""
    return copy.deepcopy(BASE)


def properties(document: Document) -> list[Document]:
    found: list[Document] = document["schema"][0]["properties"]
    return found


def set_custom(document: Document, **values: Any) -> None:
    document["customProperties"] = [{"property": k, "value": v} for k, v in values.items()]


def quality(**rule: Any) -> Change:
    """A change that gives `volumen_m3` one quality rule."""
    return lambda document: properties(document)[1].update(quality=[rule])


def custom(**values: Any) -> Change:
    """A change that sets our own keys of the contract."""
    return lambda document: set_custom(document, **values)


def column(**values: Any) -> Change:
    """A change in the column `volumen_m3`."""
    return lambda document: properties(document)[1].update(values)


def write(folder: Path, document: Document, name: str = "cisternas.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def read(folder: Path, document: Document) -> Contract:
    return load_contract(write(folder, document))


def rules_of(folder: Path, document: Document, change: Change) -> tuple[Rule, ...]:
    change(document)
    return read(folder, document).column("volumen_m3").rules


# --- what a good document becomes -----------------------------------------------------------------


def test_identity_people_and_cycle_come_from_the_standard_keys(
    tmp_path: Path, document: Document
) -> None:
    contract = read(tmp_path, document)

    assert (contract.id, contract.system, contract.dataset) == (
        "aguas.cisternas",
        "aguas",
        "cisternas",
    )
    assert contract.title == "Cisternas"
    assert contract.description == "Cisternas de la red y su volumen."
    assert contract.owner == "Obras Públicas"
    assert contract.responsible == "Dirección de Aguas"
    assert contract.champion == "referente-aguas", "without a name, the user name serves"
    assert contract.frequency == "P3M"
    assert contract.source_table == "tb_cisternas"
    assert contract.raw_name == "raw.aguas__cisternas"
    assert len(contract.sha256) == 64


def test_what_is_not_said_is_restricted_normal_and_full(tmp_path: Path, document: Document) -> None:
    contract = read(tmp_path, document)

    assert contract.classification == "acceso_restringido"
    assert contract.column("volumen_m3").classification == "acceso_restringido"
    assert contract.priority == "normal"
    assert contract.load_mode == "full"
    assert contract.has_people is False
    assert contract.max_quarantine_share == 0.2


def test_an_unknown_owner_and_cycle_stay_unknown(tmp_path: Path, document: Document) -> None:
    del document["team"], document["slaProperties"]

    contract = read(tmp_path, document)

    assert (contract.owner, contract.responsible, contract.frequency) == (None, None, None)


def test_several_people_of_one_role_are_all_kept(tmp_path: Path, document: Document) -> None:
    document["team"]["members"].append({"username": "laboratorio", "role": "responsable"})

    assert read(tmp_path, document).responsible == "Dirección de Aguas; laboratorio"


def test_columns_have_the_arrow_type_of_their_physical_type(
    tmp_path: Path, document: Document
) -> None:
    assert read(tmp_path, document).arrow_schema == pa.schema(
        [
            ("cisterna_id", pa.int32()),
            ("volumen_m3", pa.decimal128(10, 2)),
            ("actualizado_en", pa.timestamp("us", tz="UTC")),
        ]
    )


@pytest.mark.parametrize(
    ("logical", "physical", "arrow"),
    [
        ("integer", "smallint", pa.int16()),
        ("integer", "bigint", pa.int64()),
        ("number", "double precision", pa.float64()),
        ("boolean", "boolean", pa.bool_()),
        ("string", "text", pa.string()),
        ("number", "text", pa.string()),
        ("date", "date", pa.date32()),
        ("timestamp", "timestamp", pa.timestamp("us")),
        ("object", "jsonb", pa.string()),
    ],
)
def test_admitted_types(
    tmp_path: Path, document: Document, logical: str, physical: str, arrow: pa.DataType
) -> None:
    column(logicalType=logical, physicalType=physical)(document)

    assert read(tmp_path, document).column("volumen_m3").arrow_type == arrow


def test_a_key_is_required_and_unique(tmp_path: Path, document: Document) -> None:
    contract = read(tmp_path, document)
    key = contract.column("cisterna_id")

    assert contract.key == ("cisterna_id",)
    assert (key.source_name, key.required, key.unique) == ("ID", True, True)
    assert [(rule.kind, rule.severity) for rule in key.rules] == [("required", "bloqueante")]


def test_parts_of_a_longer_key_may_repeat(tmp_path: Path, document: Document) -> None:
    column(primaryKey=True)(document)

    contract = read(tmp_path, document)

    assert contract.key == ("cisterna_id", "volumen_m3")
    assert not contract.column("cisterna_id").unique
    assert not contract.column("volumen_m3").unique


def test_options_of_a_column_block_and_quality_rules_warn(
    tmp_path: Path, document: Document
) -> None:
    column(
        logicalTypeOptions={"minimum": 0},
        quality=[
            {
                "metric": "invalidValues",
                "arguments": {"maximum": 900},
                "mustBe": 0,
                "severity": "warning",
                "dimension": "accuracy",
                "description": "Ninguna cisterna supera los 900 m³.",
            }
        ],
    )(document)

    minimum, maximum = read(tmp_path, document).column("volumen_m3").rules

    assert (minimum.kind, minimum.argument, minimum.severity) == ("minimum", 0, "bloqueante")
    assert (maximum.kind, maximum.argument, maximum.severity) == ("maximum", 900, "advertencia")
    assert maximum.description == "Ninguna cisterna supera los 900 m³."
    assert maximum.dimension == "exactitud", "the standard's word, in Spanish"


def test_a_range_is_two_rules(tmp_path: Path, document: Document) -> None:
    rules = rules_of(
        tmp_path,
        document,
        quality(metric="invalidValues", arguments={"minimum": 0, "maximum": 900}),
    )

    assert [(rule.kind, rule.argument) for rule in rules] == [("minimum", 0), ("maximum", 900)]


def test_severity_error_blocks(tmp_path: Path, document: Document) -> None:
    (rule,) = rules_of(tmp_path, document, quality(metric="nullValues", severity="error"))

    assert (rule.kind, rule.severity, rule.dimension) == ("required", "bloqueante", "completitud")


def test_valid_values_are_compared_as_text(tmp_path: Path, document: Document) -> None:
    (rule,) = rules_of(
        tmp_path, document, quality(metric="invalidValues", arguments={"validValues": [1, "dos"]})
    )

    assert (rule.kind, rule.argument) == ("allowed", ("1", "dos"))
    assert rule.description == "volumen_m3 debe ser uno de: 1, dos"


def test_our_own_keys_of_a_column(tmp_path: Path, document: Document) -> None:
    values = {
        "constant": 7,
        "unit": "m3",
        "protocolField": "ubicacion",
        "protocolSeverity": "advertencia",
    }
    column(customProperties=[{"property": k, "value": v} for k, v in values.items()])(document)

    found = read(tmp_path, document).column("volumen_m3")

    assert (found.constant, found.unit) == ("7", "m3")
    assert (found.protocol_field, found.protocol_severity) == ("ubicacion", "advertencia")
    assert read(tmp_path, document).column("cisterna_id").protocol_severity is None


def test_incremental_needs_cursor_and_key_and_has_them(tmp_path: Path, document: Document) -> None:
    set_custom(document, loadMode="incremental", cursor="actualizado_en", lookback="P3D")

    contract = read(tmp_path, document)

    assert (contract.load_mode, contract.cursor, contract.lookback) == (
        "incremental",
        "actualizado_en",
        "P3D",
    )


def test_append_needs_a_cursor_and_no_key(tmp_path: Path, document: Document) -> None:
    del properties(document)[0]["primaryKey"]
    set_custom(document, loadMode="append", cursor="actualizado_en")

    contract = read(tmp_path, document)

    assert (contract.load_mode, contract.key, contract.has_watermark) == ("append", (), True)


def test_limits_of_a_table_have_defaults_and_can_be_said(
    tmp_path: Path, document: Document
) -> None:
    contract = read(tmp_path, document)
    assert (contract.deletions_every, contract.max_connections) == ("P7D", 2)
    assert contract.max_deletion_share == contract.max_quarantine_share == 0.2

    set_custom(
        document, deletionsEvery="never", maxConnections=1, maxDeletionShare=1, fetchRows=1000,
        statementTimeout="PT90S", parallelRanges=4, archive=False, settleSeconds=30,
        fileIdentity=r"(\d{4}-\d{2})", revisions="append", detectEncoding=False,
    )  # fmt: skip
    contract = read(tmp_path, document)
    assert (contract.deletions_every, contract.max_connections) == (None, 1)
    assert contract.max_deletion_share == 1.0
    assert contract.options["statementTimeout"] == "PT90S"


def test_options_of_the_server_are_checked_like_those_of_the_contract(
    tmp_path: Path, document: Document
) -> None:
    document["servers"][0]["customProperties"] = [{"property": "fetchRows", "value": "muchas"}]

    with pytest.raises(ContractError, match="`fetchRows` debe ser un número entero"):
        read(tmp_path, document)


def test_a_folder_of_files_is_loaded_file_by_file(tmp_path: Path, document: Document) -> None:
    document["servers"][0].update(
        type="local",
        format="csv",
        path="${SOURCE_AGUAS_URL}",
        customProperties=[
            {"property": "pattern", "value": "cisternas_*.csv"},
            {"property": "delimiter", "value": ";"},
        ],
    )
    set_custom(document, landingTable="aguas__volumenes", partitionBy="actualizado_en")

    contract = read(tmp_path, document)

    assert (contract.kind, contract.load_mode, contract.from_files) == ("csv", "files", True)
    assert contract.options["pattern"] == "cisternas_*.csv"
    assert contract.server.delimiter == ";", "not a key of a local server in the standard"
    assert contract.raw_name == "raw.aguas__volumenes"
    assert contract.partition_by == "actualizado_en"


def test_an_api_has_its_path_on_the_server(tmp_path: Path, document: Document) -> None:
    document["servers"][0].update(
        type="api", customProperties=[{"property": "path", "value": "/api/v1/cisternas"}]
    )

    contract = read(tmp_path, document)

    assert (contract.kind, contract.server.path) == ("api", "/api/v1/cisternas")


@pytest.mark.parametrize(
    ("value", "unit", "duration"),
    [(1, "d", "P1D"), (2, "w", "P2W"), (3, "m", "P3M"), (1, "y", "P1Y"), (6, "h", "PT6H")],
)
def test_frequency_is_a_duration(
    tmp_path: Path, document: Document, value: int, unit: str, duration: str
) -> None:
    document["slaProperties"][0].update(value=value, unit=unit)

    assert read(tmp_path, document).frequency == duration


def test_asking_for_a_column_that_is_not_there(tmp_path: Path, document: Document) -> None:
    with pytest.raises(KeyError, match="altura"):
        read(tmp_path, document).column("altura")


# --- what is refused, naming file and field -------------------------------------------------------


def _remove_column_type(document: Document) -> None:
    del properties(document)[1]["physicalType"]


def _remove_key(document: Document) -> None:
    del properties(document)[0]["primaryKey"]
    set_custom(document, loadMode="incremental", cursor="actualizado_en")


def _boolean_cursor(document: Document) -> None:
    properties(document)[2].update(logicalType="boolean", physicalType="boolean")
    set_custom(document, loadMode="append", cursor="actualizado_en")


def _as_files(document: Document, **values: Any) -> None:
    document["servers"][0].update(type="local", format="csv")
    set_custom(document, **values)


def _keep(value: object, unit: str) -> Change:
    return lambda d: d["slaProperties"].append(
        {"property": "retention", "value": value, "unit": unit}
    )


REFUSED: dict[str, tuple[Change, str]] = {
    "an unknown status": (lambda d: d.update(status="retirado"), "`status`: 'retirado'"),
    "a value the city does not have": (
        quality(metric="invalidValues", arguments={"minimum": "${altura}"}),
        "${altura} no es un valor de la ciudad",
    ),
    "not a contract": (lambda d: d.update(kind="Receta"), "kind: DataContract"),
    "no version of the standard": (lambda d: d.pop("apiVersion"), "apiVersion"),
    "key the standard lacks": (lambda d: d.update(dueño="Aguas"), "dueño"),
    "wrong kind of value": (lambda d: d.update(schema="tabla"), "schema"),
    "id without dataset": (lambda d: d.update(id="aguas"), "`id`"),
    "id in capitals": (lambda d: d.update(id="Aguas.Cisternas"), "`id`"),
    "no version": (lambda d: d.pop("version"), "`version`"),
    "no server": (lambda d: d.update(servers=[]), "`servers`"),
    "two tables": (lambda d: d["schema"].append(d["schema"][0]), "`schema`"),
    "server of another system": (
        lambda d: d["servers"][0].update(server="mlc"),
        "servers[0].server",
    ),
    "unknown type of server": (lambda d: d["servers"][0].update(type="oracle"), "servers[0].type"),
    "unknown format": (
        lambda d: d["servers"][0].update(type="local", format="pdf"),
        "servers[0].format",
    ),
    "no columns": (lambda d: d["schema"][0].update(properties=[]), "no tiene columnas"),
    "repeated column": (column(name="cisterna_id"), "columnas repetidas: cisterna_id"),
    "name of the server's own": (column(name="xmin"), "PostgreSQL se reserva el nombre xmin"),
    "column name with a space": (column(name="volumen total"), "'volumen total'"),
    "no type": (_remove_column_type, "volumen_m3: `physicalType`"),
    "unknown type": (column(physicalType="money"), "volumen_m3: `physicalType` 'money'"),
    "too many digits": (column(physicalType="numeric(50,2)"), "volumen_m3: numeric(50,2)"),
    "types that disagree": (column(logicalType="date"), "volumen_m3: `logicalType` 'date'"),
    "no description": (column(description=" "), "volumen_m3: falta `description`"),
    "unknown classification": (column(classification="secreto"), "volumen_m3: `classification`"),
    "option nothing acts upon": (
        column(logicalTypeOptions={"exclusiveMinimum": 0}),
        "volumen_m3: `logicalTypeOptions` no admite exclusiveMinimum",
    ),
    "broken pattern": (
        column(logicalTypeOptions={"pattern": "("}),
        "volumen_m3: expresión regular no válida",
    ),
    "unknown time zone": (
        column(logicalTypeOptions={"defaultTimezone": "America/Lujan"}),
        "volumen_m3: `defaultTimezone` 'America/Lujan'",
    ),
    "unknown protocol field": (
        column(customProperties=[{"property": "protocolField", "value": "edad"}]),
        "volumen_m3: `protocolField` 'edad'",
    ),
    "unknown protocol severity": (
        column(customProperties=[{"property": "protocolSeverity", "value": "leve"}]),
        "volumen_m3: `protocolSeverity` 'leve'",
    ),
    "unknown metric": (quality(metric="filas"), "volumen_m3: regla de calidad no admitida"),
    "row count on a column": (quality(metric="rowCount", mustBe=3), "volumen_m3: `rowCount` va"),
    "invalid without saying what is valid": (
        quality(metric="invalidValues"),
        "volumen_m3: regla de calidad no admitida",
    ),
    "unknown argument": (
        quality(metric="invalidValues", arguments={"máximo": 3}),
        "volumen_m3: regla de calidad no admitida",
    ),
    "broken pattern in quality": (
        quality(metric="invalidValues", arguments={"pattern": "["}),
        "volumen_m3: expresión regular no válida",
    ),
    "unknown severity": (quality(metric="nullValues", severity="eror"), "volumen_m3: `severity`"),
    "unknown dimension": (
        quality(metric="nullValues", dimension="belleza"),
        "volumen_m3: `dimension` 'belleza'",
    ),
    "a threshold that is no number": (
        quality(metric="nullValues", mustBe="pocos"),
        "volumen_m3: `mustBe` debe ser un número",
    ),
    "two operators": (
        quality(metric="nullValues", mustBe=5, mustBeLessThan=3),
        "volumen_m3: hace falta un operador, y uno solo",
    ),
    "unknown unit": (
        quality(metric="nullValues", mustBeLessThan=5, unit="litros"),
        "volumen_m3: `unit` debe ser rows o percent",
    ),
    "a rule of another engine": (
        quality(type="custom", engine="soda", implementation="x"),
        "volumen_m3: `type: custom` no se puede ejecutar",
    ),
    "sql without a query": (quality(type="sql", mustBe=0), "volumen_m3: una regla `type: sql`"),
    "sql that writes": (
        quality(type="sql", name="x", query="delete from ${object}", mustBe=0),
        "volumen_m3: `query` debe ser una sola consulta SELECT",
    ),
    "sql of two statements": (
        quality(type="sql", name="x", query="select 1; drop table t", mustBe=0),
        "volumen_m3: `query` debe ser una sola consulta SELECT",
    ),
    "sql with an unknown place": (
        quality(type="sql", name="x", query="select count(*) from ${tabla}", mustBe=0),
        "volumen_m3: `query` usa ${tabla}",
    ),
    "sql without a name": (
        quality(type="sql", query="select 1", mustBe=0),
        "volumen_m3: una regla `type: sql` necesita `name`",
    ),
    "sql without a threshold": (
        quality(type="sql", name="x", query="select 1"),
        "volumen_m3: hace falta un operador",
    ),
    "unknown freshness severity": (custom(freshnessSeverity="grave"), "`freshnessSeverity`"),
    "valid values that are no list": (
        quality(metric="invalidValues", arguments={"validValues": "si"}),
        "volumen_m3: `validValues`",
    ),
    "an unquoted no": (
        quality(metric="invalidValues", arguments={"validValues": ["si", False]}),
        "volumen_m3: escriba entre comillas",
    ),
    "unknown mode": (custom(loadMode="diario"), "`loadMode` desconocido: 'diario'"),
    "mode that is no text": (custom(loadMode=1), "`loadMode` debe ser un texto"),
    "files from a database": (custom(loadMode="files"), "`loadMode: files`"),
    "incremental files": (lambda d: _as_files(d, loadMode="incremental"), "`files` o `full`"),
    "no cursor": (custom(loadMode="incremental"), "`cursor`"),
    "cursor that is no column": (custom(loadMode="incremental", cursor="fecha"), "'fecha'"),
    "incremental without key": (_remove_key, "clave primaria"),
    "lookback that is no duration": (custom(lookback="3 días"), "`lookback`"),
    "append without cursor": (custom(loadMode="append"), "`cursor`"),
    "append to files": (
        lambda d: _as_files(d, loadMode="append", cursor="actualizado_en"),
        "`files` o `full`",
    ),
    "cursor that has no order": (_boolean_cursor, "`cursor`: actualizado_en es boolean"),
    "retention in words": (_keep("cinco", "y"), "`retention` debe ser un número entero desde 1"),
    "retention of nothing": (_keep(0, "y"), "`retention` debe ser un número entero desde 1"),
    "retention in decades": (_keep(1, "decada"), "`retention`: unidad 'decada'"),
    "threshold of no number": (quality(metric="nullValues", mustBe=[]), "`mustBe` debe ser"),
    "a sign that is a number": (custom(numberSigns=["$", "1"]), "`numberSigns`"),
    "signs that are no list": (custom(numberSigns="$"), "`numberSigns`"),
    "a label of no text": (custom(totalsLabel=["Total", 5]), "`totalsLabel`"),
    "days of a number": (
        custom(loadMode="append", cursor="cisterna_id", lookback="P3D"),
        "cisterna_id es un número",
    ),
    "a number of days": (custom(lookback=3), "`lookback` debe ser una duración"),
    "lookback without a number": (custom(lookback="PT"), "`lookback`"),
    "deletions in words": (custom(deletionsEvery="semanal"), "`deletionsEvery`"),
    "deletions as a number": (custom(deletionsEvery=7), "`deletionsEvery`"),
    "time-out as a number": (custom(statementTimeout=60), "`statementTimeout`"),
    "no rows at a time": (custom(fetchRows=0), "`fetchRows` debe ser un número entero desde 1"),
    "half a connection": (custom(maxConnections=0.5), "`maxConnections`"),
    "connections as a truth value": (custom(maxConnections=True), "`maxConnections`"),
    "ranges in words": (custom(parallelRanges="dos"), "`parallelRanges`"),
    "share as a truth value": (custom(maxQuarantineShare=True), "`maxQuarantineShare`"),
    "deletions above one": (custom(maxDeletionShare=2), "`maxDeletionShare`"),
    "settling below zero": (custom(settleSeconds=-1), "`settleSeconds`"),
    "archive in words": (custom(archive="sí"), "`archive` debe ser true o false"),
    "detection in words": (custom(detectEncoding="no"), "`detectEncoding` debe ser true o false"),
    "unknown way of revising": (custom(revisions="sumar"), "`revisions`: 'sumar'"),
    "identity that is no expression": (custom(fileIdentity="("), "`fileIdentity`: expresión"),
    "identity without a group": (custom(fileIdentity="mes"), "`fileIdentity` debe tener un grupo"),
    "partition that is no column": (custom(partitionBy="fecha"), "`partitionBy`"),
    "partition that is no date": (
        custom(partitionBy="volumen_m3"),
        "`partitionBy`: volumen_m3 no es una fecha",
    ),
    "partition outside of the key": (
        custom(partitionBy="actualizado_en"),
        "`partitionBy`: actualizado_en debe ser parte de la clave",
    ),
    "missing values that are no texts": (custom(missingValues=[0]), "`missingValues`"),
    "divided table with a long name": (
        custom(partitionBy="actualizado_en", landingTable="aguas__" + "x" * 50),
        "es un nombre demasiado largo para una tabla dividida",
    ),
    "table name with a dot": (custom(landingTable="raw.cisternas"), "`landingTable`"),
    "unknown classification of the dataset": (custom(classification="pública"), "`classification`"),
    "unknown priority": (custom(priority="alta"), "`priority`"),
    "people as a word": (custom(containsPersons="no"), "`containsPersons` debe ser true o false"),
    "share as a word": (custom(maxQuarantineShare="poco"), "`maxQuarantineShare`"),
    "share above one": (custom(maxQuarantineShare=20), "`maxQuarantineShare`"),
    "unknown unit of frequency": (
        lambda d: d["slaProperties"][0].update(unit="meses"),
        "`frequency`: unidad 'meses'",
    ),
    "frequency in words": (
        lambda d: d["slaProperties"][0].update(value="mensual"),
        "`frequency`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_file_and_field(tmp_path: Path, document: Document, case: str) -> None:
    change, words = REFUSED[case]
    change(document)

    with pytest.raises(ContractError) as caught:
        read(tmp_path, document)

    assert words in caught.value.what
    assert "cisternas.yaml" in caught.value.what
    assert str(tmp_path / "cisternas.yaml") in caught.value.next_step


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id: [aguas", "no es YAML"),
        (b"", "vac"),
        (b"- una lista", "no es un contrato"),
        ("name: Cañería".encode("latin-1"), "no se puede leer"),
    ],
)
def test_a_file_that_is_no_document(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "roto.yaml"
    path.write_bytes(content)

    with pytest.raises(ContractError, match=words) as caught:
        load_contract(path)

    assert caught.value.dataset == "roto", "without an id, the file's name says whose it is"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"no existe.*revise el nombre"):
        load_contract(tmp_path / "ausente.yaml")


# --- the catalogue --------------------------------------------------------------------------------


def test_a_broken_document_does_not_stop_the_others(tmp_path: Path, document: Document) -> None:
    write(tmp_path, document, "aguas/cisternas.yaml")
    (tmp_path / "aguas" / "roto.yaml").write_text("id: [", encoding="utf-8")

    catalogue = load_catalogue([tmp_path])

    assert list(catalogue.contracts) == ["aguas.cisternas"]
    (error,) = catalogue.errors
    assert "roto.yaml" in str(error)
    assert "los demás conjuntos siguen cargándose" in str(error)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    catalogue = load_catalogue([tmp_path / "ausente"])

    assert not catalogue.contracts
    assert "no existe la carpeta de contratos" in str(catalogue.errors[0])


def test_a_later_folder_replaces_a_dataset(tmp_path: Path, document: Document) -> None:
    write(tmp_path / "ciudad", document)
    document["version"] = "2.0.0"
    write(tmp_path / "propios", document)

    catalogue = load_catalogue([tmp_path / "ciudad", tmp_path / "propios"])

    assert catalogue.contracts["aguas.cisternas"].version == "2.0.0"
    assert catalogue.errors == ()


def test_a_copy_whose_id_was_left_is_an_error(tmp_path: Path, document: Document) -> None:
    write(tmp_path, document, "cisternas.yaml")
    write(tmp_path, {**document, "name": "Tanques"}, "tanques.yaml")

    catalogue = load_catalogue([tmp_path])

    assert catalogue.contracts["aguas.cisternas"].title == "Cisternas"
    assert "tanques.yaml: `id` ya está usado en cisternas.yaml" in str(catalogue.errors[0])


def test_one_file_is_a_catalogue_too(tmp_path: Path, document: Document) -> None:
    path = write(tmp_path, document)

    assert list(load_catalogue([path]).contracts) == ["aguas.cisternas"]


def test_contracts_by_system(tmp_path: Path, document: Document) -> None:
    write(tmp_path, document, "a.yaml")
    write(tmp_path, {**document, "id": "aguas.bombas"}, "b.yaml")

    systems = load_catalogue([tmp_path]).systems()

    assert {name: [c.dataset for c in found] for name, found in systems.items()} == {
        "aguas": ["bombas", "cisternas"]
    }


def feed(dataset: str, **values: Any) -> Document:
    """A feed of files that lands in a table of its kind."""
    document = copy.deepcopy(BASE)
    document["id"] = f"aguas.{dataset}"
    _as_files(document, landingTable="aguas__volumenes", **values)
    return document


def test_feeds_share_a_table(tmp_path: Path) -> None:
    write(tmp_path, feed("norte"), "norte.yaml")
    other = feed("sur")
    properties(other).append(
        {
            "name": "senal_dbm",
            "logicalType": "integer",
            "physicalType": "integer",
            "description": "Señal de la radio.",
        }
    )
    write(tmp_path, other, "sur.yaml")

    catalogue = load_catalogue([tmp_path])

    assert catalogue.errors == ()
    shared = catalogue.by_landing_table()["aguas__volumenes"]
    assert [contract.dataset for contract in shared] == ["norte", "sur"]


def _other_type(document: Document) -> None:
    column(physicalType="numeric(12,3)")(document)


def _other_partition(document: Document) -> None:
    document["customProperties"].append({"property": "partitionBy", "value": "actualizado_en"})


def _whole_table(document: Document) -> None:
    document["customProperties"].append({"property": "loadMode", "value": "full"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_type, "volumen_m3 es numeric(12,3), pero aguas.norte"),
        (_other_partition, "`partitionBy` es actualizado_en, pero aguas.norte"),
        (_whole_table, "comparte la tabla raw.aguas__volumenes con aguas.norte"),
    ],
)
def test_a_feed_that_contradicts_the_table_is_left_out(
    tmp_path: Path, change: Change, words: str
) -> None:
    write(tmp_path, feed("norte"), "norte.yaml")
    other = feed("sur")
    change(other)
    write(tmp_path, other, "sur.yaml")

    catalogue = load_catalogue([tmp_path])

    assert list(catalogue.contracts) == ["aguas.norte"]
    (error,) = catalogue.errors
    assert words in error.what
    assert "sur.yaml" in error.what


@pytest.mark.parametrize("row", ["auto", 0, "2", True])
def test_the_header_row_of_a_csv_is_a_number(
    tmp_path: Path, document: Document, row: object
) -> None:
    server = document["servers"][0]
    server.clear()
    server.update({"server": "aguas", "type": "local", "path": "x", "format": "csv"})
    set_custom(document, loadMode="files", headerRow=row)

    with pytest.raises(ContractError, match="`headerRow` debe ser un número desde 1"):
        read(tmp_path, document)


@pytest.mark.parametrize("rows", [0, 6, "2", True])
def test_a_header_has_a_few_rows(tmp_path: Path, document: Document, rows: object) -> None:
    server = document["servers"][0]
    server.clear()
    server.update({"server": "aguas", "type": "local", "path": "x", "format": "csv"})
    set_custom(document, loadMode="files", headerRows=rows)

    with pytest.raises(ContractError, match="`headerRows` debe ser un número de 1 a 5"):
        read(tmp_path, document)


def test_the_values_come_without_the_libraries_that_read_documents() -> None:
    program = (
        "import sys, sources.contract, sources.layouts, sources.references\n"
        "print(sorted({'pydantic', 'open_data_contract_standard', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip

    assert done.stdout == "[]\n"
