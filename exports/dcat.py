"""The catalogue in the words of the web: DCAT-AP 3 (JSON-LD, Turtle) and schema.org.

Belongs here: saying what the published data packages say in these vocabularies. Does not belong
here: any fact of its own (`metadata.py` describes, this module translates), the national profile.

One JSON-LD document is built; Turtle is that document read as a graph and written again, so the two
cannot differ. Every thing has an address (no blank nodes), so equal catalogues give equal bytes.
Code lists are those DCAT-AP asks for, of the EU Publications Office: themes (the national
`superTheme` uses the same codes), frequencies, languages and kinds of files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from exports.definition import SUPER_THEMES
from exports.metadata import Addresses, CatalogFacts, notes

JSONLD_NAME = "catalogo.jsonld"
TURTLE_NAME = "catalogo.ttl"

_EU = "http://publications.europa.eu/resource/authority"
_IANA = "https://www.iana.org/assignments/media-types"
FREQUENCY_CODES: Mapping[str, str] = {
    "R/P10Y": "DECENNIAL", "R/P4Y": "QUADRENNIAL", "R/P3Y": "TRIENNIAL", "R/P2Y": "BIENNIAL",
    "R/P1Y": "ANNUAL", "R/P6M": "ANNUAL_2", "R/P4M": "ANNUAL_3", "R/P3M": "QUARTERLY",
    "R/P2M": "BIMONTHLY", "R/P1M": "MONTHLY", "R/P0.5M": "MONTHLY_2", "R/P0.33M": "MONTHLY_3",
    "R/P1W": "WEEKLY", "R/P0.5W": "WEEKLY_2", "R/P0.33W": "WEEKLY_3", "R/P1D": "DAILY",
    "R/PT1H": "HOURLY", "R/PT1S": "UPDATE_CONT", "eventual": "IRREG",
}  # fmt: skip
# Kinds of files the authority knows; JSON lines is not among them, its media type tells it.
_FILE_TYPES = {"csv": "CSV", "json": "JSON", "geojson": "GEOJSON", "xlsx": "XLSX",
               "parquet": "PARQUET"}  # fmt: skip
_CONTEXT: Mapping[str, Any] = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def dcat_catalog(
    facts: CatalogFacts, packages: Sequence[Mapping[str, Any]], addresses: Addresses
) -> dict[str, Any]:
    """The catalogue and everything in it as a JSON-LD document (DCAT-AP 3)."""
    themes = sorted({theme for package in packages for theme in package["superTheme"]})
    about = [facts.descripcion]
    if facts.sintetico:
        about.insert(0, "Datos sintéticos de muestra.")
    document: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@id": f"{facts.portal}/",
        "@type": "dcat:Catalog",
        "dct:title": _spanish(facts.titulo),
        "dct:description": _spanish(" ".join(" ".join(about).split())),
        "dct:identifier": facts.organizacion,
        "dct:publisher": _publisher(facts),
        "foaf:homepage": {"@id": f"{facts.portal}/", "@type": ["dcat:Catalog", "foaf:Document"]},
        "dct:language": _language(facts.idioma),
        "dct:spatial": _place(facts, facts.ambito_geografico),
        "dcat:themeTaxonomy": {
            "@id": f"{_EU}/data-theme",
            "@type": "skos:ConceptScheme",
            "dct:title": _spanish("Temas de datos"),
            "skos:hasTopConcept": [_theme(theme) for theme in themes],
        },
        "dcat:dataset": [_dataset(facts, package, addresses) for package in packages],
    }
    if packages:
        document["dct:issued"] = _moment(min(package["issued"] for package in packages))
        document["dct:modified"] = _moment(max(package["modified"] for package in packages))
    return document


def turtle(document: Mapping[str, Any]) -> bytes:
    """The same catalogue as Turtle."""
    import rdflib

    graph = rdflib.Graph(bind_namespaces="none")
    for prefix, namespace in _CONTEXT.items():
        graph.bind(prefix, namespace)
    graph.parse(data=json.dumps(document), format="json-ld")
    text: str = graph.serialize(format="turtle")
    return text.encode("utf-8")


def schema_org(package: Mapping[str, Any], addresses: Addresses | None = None) -> dict[str, Any]:
    """A dataset as search engines of data read it (schema.org `Dataset`).

    Without `addresses` the files are named from the page that carries this text.
    """
    name = str(package["name"])
    publisher, author, maintainer = package["contributors"]
    fields = {
        field["name"]: field
        for resource in package["resources"]
        if "sourceTable" in resource
        for field in resource["schema"]["fields"]
    }
    document: dict[str, Any] = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": package["title"],
        "description": notes(package),
        "identifier": name,
        "url": addresses.page(name) if addresses else "index.html",
        "keywords": package["keywords"],
        "license": package["licenses"][0]["path"],
        "isAccessibleForFree": True,
        "inLanguage": "es",
        "creator": {"@type": "GovernmentOrganization", "name": author["title"]},
        "publisher": {
            "@type": "GovernmentOrganization",
            "name": publisher["title"],
            "email": publisher["email"],
        },
        "maintainer": {
            "@type": "Organization",
            "name": maintainer["title"],
            "email": maintainer["email"],
        },
        "datePublished": package["issued"],
        "dateModified": package["modified"],
        "variableMeasured": [_variable(field) for field in fields.values()],
        "distribution": [
            {
                "@type": "DataDownload",
                "name": resource["title"],
                "encodingFormat": resource["mediatype"],
                "contentSize": f"{resource['bytes']} B",
                "sha256": str(resource["hash"]).removeprefix("sha256:"),
                "contentUrl": addresses.download(name, resource["path"])
                if addresses
                else resource["path"],
            }
            for resource in package["resources"]
            if "sourceTable" in resource
        ],
    }
    # Packages of an earlier version do not name their place.
    if "spatialName" in package:
        document["spatialCoverage"] = {"@type": "Place", "name": package["spatialName"]}
    if "temporal" in package:
        document["temporalCoverage"] = package["temporal"]
    return document


def _dataset(
    facts: CatalogFacts, package: Mapping[str, Any], addresses: Addresses
) -> dict[str, Any]:
    name = str(package["name"])
    page = addresses.page(name)
    _, author, maintainer = package["contributors"]
    dataset: dict[str, Any] = {
        "@id": f"{page}#conjunto",
        "@type": "dcat:Dataset",
        "dct:identifier": name,
        "dct:title": _spanish(package["title"]),
        "dct:description": _spanish(notes(package)),
        "dct:publisher": _publisher(facts),
        "dct:creator": {
            "@id": f"{page}#area",
            "@type": "foaf:Agent",
            "foaf:name": author["title"],
        },
        "dcat:contactPoint": {
            "@id": f"{page}#contacto",
            "@type": "vcard:Organization",
            "vcard:fn": maintainer["title"],
            "vcard:hasEmail": {"@id": f"mailto:{maintainer['email']}"},
        },
        "dcat:keyword": [_spanish(keyword) for keyword in package["keywords"]],
        "dcat:theme": [_theme(theme) for theme in package["superTheme"]],
        "dct:accrualPeriodicity": {
            "@id": f"{_EU}/frequency/{FREQUENCY_CODES[package['accrualPeriodicity']]}",
            "@type": "dct:Frequency",
        },
        "dct:accessRights": {
            "@id": f"{_EU}/access-right/PUBLIC",
            "@type": "dct:RightsStatement",
        },
        "dct:language": [_language(code) for code in package["language"]],
        "dct:spatial": _place(facts, package["spatial"]),
        "dct:issued": _moment(package["issued"]),
        "dct:modified": _moment(package["modified"]),
        "dct:provenance": {
            "@id": f"{page}#origen",
            "@type": "dct:ProvenanceStatement",
            "skos:prefLabel": _spanish("; ".join(item["title"] for item in package["sources"])),
        },
        "dcat:landingPage": _document(page),
        "foaf:page": [
            _document(addresses.download(name, resource["path"]))
            for resource in package["resources"]
            if "sourceTable" not in resource
        ],
        "dcat:distribution": [
            _distribution(package, resource, addresses)
            for resource in package["resources"]
            if "sourceTable" in resource
        ],
    }
    if "temporal" in package:
        first, _, last = str(package["temporal"]).partition("/")
        dataset["dct:temporal"] = {
            "@id": f"{page}#periodo",
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": {"@value": first, "@type": "xsd:date"},
            "dcat:endDate": {"@value": last or first, "@type": "xsd:date"},
        }
    return dataset


def _distribution(
    package: Mapping[str, Any], resource: Mapping[str, Any], addresses: Addresses
) -> dict[str, Any]:
    name, file = str(package["name"]), str(resource["path"])
    address = addresses.access(name, file)
    licence = package["licenses"][0]
    distribution: dict[str, Any] = {
        "@id": address,
        "@type": "dcat:Distribution",
        "dct:title": _spanish(resource["title"]),
        "dct:description": _spanish(resource["description"]),
        "dcat:accessURL": {"@id": address},
        "dcat:downloadURL": {"@id": addresses.download(name, file)},
        "dct:license": {
            "@id": licence["path"],
            "@type": "dct:LicenseDocument",
            "dct:title": licence["title"],
        },
        "dcat:mediaType": _media_type(str(resource["mediatype"])),
        "dcat:byteSize": {"@value": str(resource["bytes"]), "@type": "xsd:nonNegativeInteger"},
        "dct:issued": _moment(resource["issued"]),
        "dct:modified": _moment(resource["modified"]),
        "adms:status": {"@id": f"{_EU}/distribution-status/COMPLETED", "@type": "skos:Concept"},
        "spdx:checksum": {
            "@id": f"{addresses.download(name, file)}#sha256",
            "@type": "spdx:Checksum",
            "spdx:algorithm": {
                "@id": "http://spdx.org/rdf/terms#checksumAlgorithm_sha256",
                "@type": "spdx:ChecksumAlgorithm",
            },
            "spdx:checksumValue": {
                "@value": str(resource["hash"]).removeprefix("sha256:"),
                "@type": "xsd:hexBinary",
            },
        },
    }
    if kind := _FILE_TYPES.get(str(resource["format"])):
        distribution["dct:format"] = {
            "@id": f"{_EU}/file-type/{kind}",
            "@type": "dct:MediaTypeOrExtent",
        }
    if "compression" in resource:
        distribution["dcat:compressFormat"] = _media_type("application/gzip")
    return distribution


def _publisher(facts: CatalogFacts) -> dict[str, Any]:
    return {
        "@id": f"{facts.portal}/#editor",
        "@type": "foaf:Agent",
        "foaf:name": facts.editor,
        "foaf:mbox": {"@id": f"mailto:{facts.correo}"},
    }


def _place(facts: CatalogFacts, code: str) -> dict[str, Any]:
    return {
        "@id": f"{facts.portal}/#ambito-{code}",
        "@type": "dct:Location",
        "dct:identifier": code,
        "skos:prefLabel": _spanish(facts.lugar),
    }


def _theme(code: str) -> dict[str, Any]:
    return {
        "@id": f"{_EU}/data-theme/{code}",
        "@type": "skos:Concept",
        "skos:prefLabel": _spanish(SUPER_THEMES[code]),
    }


def _language(code: str) -> dict[str, Any]:
    return {"@id": f"{_EU}/language/{code.upper()}", "@type": "dct:LinguisticSystem"}


def _media_type(name: str) -> dict[str, Any]:
    return {"@id": f"{_IANA}/{name}", "@type": "dct:MediaType"}


def _document(address: str) -> dict[str, Any]:
    return {"@id": address, "@type": "foaf:Document"}


def _variable(field: Mapping[str, Any]) -> dict[str, Any]:
    variable = {
        "@type": "PropertyValue",
        "name": field["name"],
        "description": field["description"],
    }
    if "unit" in field:
        variable["unitText"] = field["unit"]
    return variable


def _spanish(text: str) -> dict[str, str]:
    return {"@value": text, "@language": "es"}


def _moment(text: str) -> dict[str, str]:
    return {"@value": text, "@type": "xsd:dateTime"}
