"""The same publication in other vocabularies, checked by other people's validators."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exports.approvals import approve
from exports.catalog import build_catalog
from exports.dcat import FREQUENCY_CODES, dcat_catalog, schema_org, turtle
from exports.definition import FREQUENCIES
from exports.export import export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.portal import FolderAddresses
from tests.exports.conftest import Connection, Define

SHAPES = Path(__file__).with_name("dcat_ap_shapes.ttl")
ADDRESSES = FolderAddresses("https://datos.example.org")
NAME = "proyectos-municipales"


class Published(NamedTuple):
    folder: Path
    package: dict[str, Any]
    dcat: dict[str, Any]


@pytest.fixture
def published(
    connection: Connection, define: Define, document: dict[str, Any], manifest: Manifest,
    facts: CatalogFacts, tmp_path: Path,
) -> Published:  # fmt: skip
    """One dataset in every format, and its catalogue."""
    document["recursos"][0]["formatos"] = ["csv", "json", "jsonl", "parquet", "xlsx"]
    definition = define(advertencias=["El avance lo informa cada secretaría."])
    approve(connection, definition, "Comité", "Acta 1")
    connection.commit()
    folder = tmp_path / "salida"
    export_dataset(connection, definition, manifest, folder, "corrida", facts=facts)
    build_catalog(connection, [NAME], folder, ADDRESSES, facts=facts)
    return Published(
        folder,
        json.loads((folder / NAME / "datapackage.json").read_text("utf-8")),
        json.loads((folder / "catalogo.jsonld").read_text("utf-8")),
    )


def violations(document: dict[str, Any]) -> list[str]:
    """What SHACL has to say about a JSON-LD document; nothing when it conforms."""
    import pyshacl
    import rdflib

    graph = rdflib.Graph().parse(data=json.dumps(document), format="json-ld")
    # vcard:Organization is a vcard:Kind: the vocabulary says so, a validator does not know it.
    graph.update(
        "prefix vcard: <http://www.w3.org/2006/vcard/ns#> "
        "insert { ?x a vcard:Kind } where { ?x a vcard:Organization }"
    )
    conforms, _, text = pyshacl.validate(graph, shacl_graph=rdflib.Graph().parse(SHAPES))
    return [] if conforms else [text]


def test_the_data_package_passes_frictionless(published: Published) -> None:
    """Types, rows, sizes and hashes of the files, as another program reads them."""
    import frictionless

    package = frictionless.Package(str(published.folder / NAME / "datapackage.json"))
    for name in [item.name for item in package.resources]:
        # The other kinds need libraries of their own there, and Markdown is no table.
        if name.endswith(("-jsonl", "-parquet", "-xlsx", "-md")):
            package.remove_resource(name)
    report = package.validate()
    assert report.valid, report.flatten(["name", "type", "message"])
    assert len(report.tasks) == 3


def test_a_changed_file_does_not_pass_frictionless(published: Published) -> None:
    """The check above can fail."""
    import frictionless

    path = published.folder / NAME / "proyectos.csv"
    path.write_bytes(path.read_bytes().replace(b"100.00", b"cien.0"))
    package = frictionless.Package(str(published.folder / NAME / "datapackage.json"))
    found = {error for (error,) in package.validate().flatten(["type"])}
    assert {"type-error", "hash-count"} & found


def test_the_catalogue_conforms_to_dcat_ap(published: Published) -> None:
    assert violations(published.dcat) == []


BREACHES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no title": lambda d: d.pop("dct:title"),
    "no publisher": lambda d: d.pop("dct:publisher"),
    "no dataset description": lambda d: d["dcat:dataset"][0].pop("dct:description"),
    "no contact": lambda d: d["dcat:dataset"][0].pop("dcat:contactPoint"),
    "no licence": lambda d: d["dcat:dataset"][0]["dcat:distribution"][0].pop("dct:license"),
    "no access": lambda d: d["dcat:dataset"][0]["dcat:distribution"][0].pop("dcat:accessURL"),
    "date as text": lambda d: d["dcat:dataset"][0].update({"dct:issued": "01/02/2025"}),
    "made-up theme": lambda d: d["dcat:dataset"][0]["dcat:theme"][0].update(
        {"@id": "https://datos.example.org/tema/agua"}
    ),
    "period upside down": lambda d: d["dcat:dataset"][0]["dct:temporal"]["dcat:endDate"].update(
        {"@value": "1999-01-01"}
    ),
    "size as text": lambda d: d["dcat:dataset"][0]["dcat:distribution"][0].update(
        {"dcat:byteSize": "12 kB"}
    ),
}


def test_every_breach_of_dcat_ap_is_found(published: Published) -> None:
    for name, breach in BREACHES.items():
        document = copy.deepcopy(published.dcat)
        breach(document)
        assert violations(document), name


def test_turtle_says_the_same_as_json_ld(published: Published) -> None:
    import rdflib
    from rdflib.compare import isomorphic

    linked = rdflib.Graph().parse(data=json.dumps(published.dcat), format="json-ld")
    text = (published.folder / "catalogo.ttl").read_text("utf-8")
    assert isomorphic(linked, rdflib.Graph().parse(data=text, format="turtle"))
    assert not [node for triple in linked for node in triple if isinstance(node, rdflib.BNode)]
    assert turtle(published.dcat) == text.encode()
    assert "Datos sintéticos" in text


def test_dcat_describes_data_as_distributions_and_the_dictionary_as_documentation(
    published: Published,
) -> None:
    (dataset,) = published.dcat["dcat:dataset"]
    files = [item["dcat:downloadURL"]["@id"] for item in dataset["dcat:distribution"]]
    assert [file.rpartition("/")[2] for file in files] == [
        "proyectos.csv", "proyectos.json", "proyectos.jsonl", "proyectos.parquet", "proyectos.xlsx",
    ]  # fmt: skip
    assert [item["@id"].rpartition(".")[2] for item in dataset["foaf:page"]] == ["csv", "md"]
    assert dataset["dct:accrualPeriodicity"]["@id"].endswith("/frequency/MONTHLY")


def test_every_frequency_of_the_profile_has_words_and_a_code() -> None:
    assert FREQUENCIES.keys() == FREQUENCY_CODES.keys()
    assert len(set(FREQUENCY_CODES.values())) == len(set(FREQUENCIES.values())) == 19


def test_compressed_parts_say_what_is_inside(published: Published, facts: CatalogFacts) -> None:
    package = copy.deepcopy(published.package)
    package["resources"][0].update(
        path="proyectos-parte-01.csv.gz", mediatype="application/gzip", compression="gz"
    )
    document = dcat_catalog(facts, [package], ADDRESSES)
    distribution = document["dcat:dataset"][0]["dcat:distribution"][0]
    assert distribution["dcat:compressFormat"]["@id"].endswith("application/gzip")
    assert distribution["dct:format"]["@id"].endswith("/CSV")
    assert violations(document) == []


def test_search_engines_get_what_they_ask_for(published: Published) -> None:
    """The properties that dataset search requires or recommends, and its limits."""
    document = schema_org(published.package, ADDRESSES)
    assert document["@type"] == "Dataset" and document["isAccessibleForFree"]
    assert 50 <= len(document["description"]) <= 5000
    assert document["temporalCoverage"] == "2026-01-31/2026-02-01"
    assert [item["encodingFormat"] for item in document["distribution"]][:2] == [
        "text/csv", "application/json",
    ]  # fmt: skip
    assert {item["name"] for item in document["variableMeasured"]} >= {"avance_pct"}
    assert next(
        item for item in document["variableMeasured"] if item["name"] == "avance_pct"
    )["unitText"] == "%"  # fmt: skip
