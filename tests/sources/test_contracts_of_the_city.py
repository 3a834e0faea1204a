"""The city's contracts, and the examples in the documentation, are complete and say what they must.

What a contract may hold is tested in `test_contract.py`; here every document that a person will
read is held against the standard's own JSON schema and against the city's rules.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from exports.definition import load_definitions
from sources.contract import CLASSIFICATIONS, Catalogue, Contract
from sources.contract_document import CONTRACTS_DIR, load_catalogue
from sources.names import slug

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "contratos.md"
EXAMPLES_DIR = ROOT / "docs" / "ejemplos"
DOCUMENTS = sorted([*CONTRACTS_DIR.rglob("*.yaml"), *EXAMPLES_DIR.rglob("*.yaml")])
CITY = sorted(CONTRACTS_DIR.rglob("*.yaml"))

DATASETS = {
    "mlc": "ejes hitos indicadores mediciones metas programas proyectos secretarias",
    "aguas": "calidad_agua cuentas energia_bombeo facturacion lecturas_macromedidor macromedidores "
    "medidores red_infraestructura reportes_servicio zonas",
    "citymis": "beneficiarios solicitudes tramites",
    "planillas": "encuesta_habilidades inventario_datasets kpi_manuales reuniones_comite",
    "telemetria": "lecturas_csv lecturas_lorawan",
    "milujan": "tramites_digitales",
}
STAGES = (
    "creacion",
    "procesamiento",
    "almacenamiento",
    "intercambio",
    "uso_y_analisis",
    "archivo_y_preservacion",
)
# Which column answers which field of the disaggregated-data protocol.
PROTOCOL = {
    "citymis.beneficiarios": {
        "fecha_nacimiento": "fecha_nacimiento",
        "genero": "genero",
        "etnia": "etnia",
        "nivel_educativo": "educacion",
        "nivel_ingreso": "ingreso",
        "distrito": "ubicacion",
        "wg_ver": "discapacidad",
        "wg_oir": "discapacidad",
        "wg_caminar": "discapacidad",
        "wg_recordar": "discapacidad",
        "wg_cuidado_personal": "discapacidad",
        "wg_comunicarse": "discapacidad",
        "acceso_tecnologia": "acceso_tecnologia",
        "alfabetizacion_digital": "alfabetizacion_digital",
    },
    "planillas.encuesta_habilidades": {
        "fecha_nacimiento": "fecha_nacimiento",
        "genero": "genero",
        "nivel_educativo": "educacion",
    },
}
# Water consumption, infrastructure and health.
CRITICAL = {
    "aguas.calidad_agua",
    "aguas.energia_bombeo",
    "aguas.facturacion",
    "aguas.lecturas_macromedidor",
    "aguas.macromedidores",
    "aguas.medidores",
    "aguas.red_infraestructura",
    "aguas.reportes_servicio",
    "telemetria.lecturas_csv",
    "telemetria.lecturas_lorawan",
}
# Columns that tell who a person, an account or a dwelling is, whatever table they stand in.
NEVER_OPEN = re.compile(
    r"^(cuenta_id|numero_cuenta|medidor_id|titular_.*|documento|apellido|domicilio"
    r"|latitud|longitud|fecha_nacimiento|genero|etnia|nivel_ingreso|wg_.*|beneficiario_id"
    r"|respuesta_id|responsable|referente|cargado_por)$"
)


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft201909Validator:
    """The standard's JSON schema, as its own package brings it."""
    return jsonschema.Draft201909Validator(json.loads(OpenDataContractStandard.json_schema()))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def document_of(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def contract_of(path: Path) -> Contract:
    return next(iter(load_catalogue([path]).contracts.values()))


def test_every_dataset_of_the_city_has_a_contract(catalogue: Catalogue) -> None:
    assert catalogue.errors == ()
    assert {
        system: " ".join(contract.dataset for contract in contracts)
        for system, contracts in catalogue.systems().items()
    } == DATASETS


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_the_document_meets_the_standard(
    path: Path, schema: jsonschema.Draft201909Validator
) -> None:
    problems = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in schema.iter_errors(document_of(path))
    ]

    assert problems == []
    assert document_of(path)["apiVersion"] == "v3.1.0"


@pytest.mark.parametrize("path", CITY, ids=name_of)
def test_the_file_stands_where_its_id_says(path: Path) -> None:
    contract = contract_of(path)

    assert path == CONTRACTS_DIR / contract.system / f"{contract.dataset}.yaml"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_it_explains_itself_in_whole_sentences(path: Path) -> None:
    contract = contract_of(path)
    described = contract.document.description
    table = (contract.document.schema_ or [])[0]

    assert described is not None
    texts = {
        "purpose": described.purpose,
        "usage": described.usage,
        "limitations": described.limitations,
        "dataGranularityDescription": table.dataGranularityDescription,
        **{column.name: column.description for column in contract.columns},
    }
    for where, text in texts.items():
        words = (text or "").strip()
        assert words, f"{where} has no text"
        assert words[0].isupper(), f"{where} begins like half a sentence: {words}"
        assert words.endswith("."), f"{where} does not end like a sentence: {words}"
        assert len(words.split()) > 2, f"{where} says too little: {words}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_rules_say_what_they_ask_for(path: Path) -> None:
    for column in contract_of(path).document.schema_[0].properties or []:  # type: ignore[index]
        for rule in column.quality or []:
            assert (rule.description or "").endswith("."), column.name
            assert rule.severity in ("error", "warning"), column.name
            assert rule.dimension, column.name


def test_every_area_is_spelt_in_one_way(catalogue: Catalogue) -> None:
    portal = load_definitions().definitions.values()
    owners = {contract.owner for contract in catalogue.contracts.values()}
    areas = {str(area) for area in owners | {dataset.secretaria for dataset in portal}}

    assert len({slug(area) for area in areas}) == len(areas), sorted(areas)


@pytest.mark.parametrize("path", CITY, ids=name_of)
def test_it_has_owner_people_and_cycle(path: Path) -> None:
    contract = contract_of(path)

    assert contract.owner
    assert contract.responsible
    assert contract.champion
    assert contract.frequency
    assert [stage for stage in STAGES if not contract.people.get(stage)] == []
    retention = {item.property: item for item in contract.document.slaProperties or []}["retention"]
    assert retention.value
    assert retention.description


@pytest.mark.parametrize("path", CITY, ids=name_of)
def test_what_must_be_decided_is_decided_and_not_left_to_a_default(path: Path) -> None:
    contract = contract_of(path)
    document = document_of(path)
    stated = {item["property"] for item in document["customProperties"]}

    assert {"classification", "priority", "containsPersons", "loadMode"} <= stated
    assert [
        p["name"] for p in document["schema"][0]["properties"] if "classification" not in p
    ] == []
    assert contract.key or contract.load_mode == "files"


@pytest.mark.parametrize("path", CITY, ids=name_of)
def test_a_dataset_is_as_protected_as_its_most_protected_column(path: Path) -> None:
    contract = contract_of(path)
    strictest = min(CLASSIFICATIONS.index(column.classification) for column in contract.columns)

    assert CLASSIFICATIONS.index(contract.classification) <= strictest


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_what_identifies_somebody_is_never_open(path: Path) -> None:
    contract = contract_of(path)
    opened = [c.name for c in contract.columns if c.classification == "libre_acceso"]

    assert [name for name in opened if NEVER_OPEN.match(name)] == []
    if contract.has_people:
        protocol = [column for column in contract.columns if column.protocol_field]
        assert [column.name for column in protocol if column.name in opened] == []


def test_datasets_about_people_answer_the_protocol(catalogue: Catalogue) -> None:
    people = {id_ for id_, contract in catalogue.contracts.items() if contract.has_people}
    answered = {
        id_: {c.name: c.protocol_field for c in contract.columns if c.protocol_field}
        for id_, contract in catalogue.contracts.items()
    }

    assert people == PROTOCOL.keys()
    assert {id_: fields for id_, fields in answered.items() if fields} == PROTOCOL


@pytest.mark.parametrize("id_", sorted(PROTOCOL))
def test_birth_is_a_date_kept_as_it_was_written(catalogue: Catalogue, id_: str) -> None:
    born = catalogue.contracts[id_].column("fecha_nacimiento")

    assert (born.logical_type, born.pg_type, born.format) == ("date", "text", "dd/MM/yyyy")


def test_water_consumption_infrastructure_and_health_are_critical(catalogue: Catalogue) -> None:
    assert {
        id_ for id_, contract in catalogue.contracts.items() if contract.priority == "critica"
    } == CRITICAL


def test_water_is_updated_at_least_once_a_month(catalogue: Catalogue) -> None:
    consumption = ("telemetria.lecturas_csv", "telemetria.lecturas_lorawan", "aguas.facturacion")

    assert [catalogue.contracts[id_].frequency for id_ in consumption] == ["P1D", "P1D", "P1M"]


def test_no_address_or_secret_is_written_down() -> None:
    for path in DOCUMENTS:
        (server,) = document_of(path)["servers"]
        where = server.get("host") or server.get("location") or server.get("path")
        assert where == f"${{SOURCE_{server['server'].upper()}_URL}}", path
        assert not {"password", "token", "user"} & server.keys()


def test_both_feeds_land_in_one_table_of_readings(catalogue: Catalogue) -> None:
    feeds = catalogue.by_landing_table()["telemetria__lecturas"]

    assert [feed.id for feed in feeds] == ["telemetria.lecturas_csv", "telemetria.lecturas_lorawan"]
    assert {feed.partition_by for feed in feeds} == {"fecha_hora"}
    assert [feed.column("unidad").constant for feed in feeds] == ["m3", "L"]
    assert {column.name for feed in feeds for column in feed.columns} == {
        "medidor_id",
        "fecha_hora",
        "lectura",
        "unidad",
        "consumo_intervalo",
        "unidad_intervalo",
        "estimada",
        "bateria_v",
        "rssi_dbm",
    }


@pytest.mark.parametrize("feed", ["lecturas_csv", "lecturas_lorawan"])
def test_a_reading_without_meter_time_or_value_is_kept_out(catalogue: Catalogue, feed: str) -> None:
    blocking = {
        rule.name
        for column in catalogue.contracts[f"telemetria.{feed}"].columns
        for rule in column.rules
        if rule.severity == "bloqueante"
    }

    assert blocking == {
        "medidor_id.required",
        "medidor_id.min_length",
        "fecha_hora.required",
        "fecha_hora.minimum",
        "fecha_hora.maximum",
        "lectura.required",
        "lectura.minimum",
    }


def test_business_rules_warn_and_keep_the_row(catalogue: Catalogue) -> None:
    """A progress of 120 % or a negative bill is loaded and reported, not hidden."""
    for id_, name in (("mlc.proyectos", "avance_pct"), ("aguas.facturacion", "importe")):
        rules = catalogue.contracts[id_].column(name).rules
        assert rules
        assert {rule.severity for rule in rules} == {"advertencia"}


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("milujan.tramites_digitales", "satisfaccion"),
        ("planillas.encuesta_habilidades", "autoevaluacion"),
    ],
)
def test_an_answer_off_the_scale_is_no_answer(catalogue: Catalogue, id_: str, name: str) -> None:
    rules = catalogue.contracts[id_].column(name).rules

    assert [(rule.kind, rule.argument, rule.severity) for rule in rules] == [
        ("minimum", 1, "bloqueante"),
        ("maximum", 5, "bloqueante"),
    ]


def test_the_guide_s_example_is_a_contract(
    tmp_path: Path, schema: jsonschema.Draft201909Validator
) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "turnos.yaml"
    path.write_text(text, encoding="utf-8")

    assert list(schema.iter_errors(yaml.safe_load(text))) == []
    assert contract_of(path).id == "riego.turnos"


def test_the_guide_explains_every_key_of_our_own() -> None:
    used: set[str] = set()
    for path in DOCUMENTS:
        document = document_of(path)
        parts = [document, *document["servers"], *document["schema"][0]["properties"]]
        used |= {item["property"] for part in parts for item in part.get("customProperties", [])}
    guide = GUIDE.read_text(encoding="utf-8")

    assert [name for name in sorted(used) if f"`{name}`" not in guide] == []


def test_the_examples_join_the_city_s_contracts() -> None:
    both = load_catalogue([CONTRACTS_DIR, EXAMPLES_DIR])

    assert both.errors == ()
    readings = [feed.id for feed in both.by_landing_table()["telemetria__lecturas"]]
    assert "telemetria.lecturas_daiad" in readings
    survey = both.contracts["encuestas.registro_daiad"]
    assert survey.has_people
    assert {c.protocol_severity for c in survey.columns if c.protocol_field} == {"advertencia"}
