"""Which systems are connected: addresses from the environment, or the sample when there are none.

Belongs here: turning settings into one address per system, the same for the command line and for
Dagster. Does not belong here: reading from them (`sources/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from orchestration.settings import Settings, settings, source_tokens, source_urls
from orchestration.warehouse.embedded import EmbeddedServer
from sources.contract import Catalogue, Contract
from sources.urls import SourceUrl

# The day the synthetic municipality stands still at.
SAMPLE_REFERENCE_DATE = "2026-07-01"
SAMPLE_DATABASE = "muestra_mlc"
SAMPLE_API_SYSTEM = "milujan"
# The sample's API listens on loopback for the length of one load; the token guards nothing.
SAMPLE_API_TOKEN = "muestra"


@dataclass(frozen=True, slots=True)
class Connections:
    """Addresses by system. `sample` tells that all of them are the synthetic municipality."""

    urls: Mapping[str, SourceUrl]
    sample: bool

    def is_connected(self, system: str) -> bool:
        return system in self.urls or (self.sample and system == SAMPLE_API_SYSTEM)

    def reads(self, contract: Contract) -> bool:
        """Whether rows of the dataset come in: its system is connected, and it is not retired."""
        return contract.is_read and self.is_connected(contract.system)

    @contextmanager
    def open(self, system: str) -> Iterator[SourceUrl | None]:
        """The address to read a system from, or None when it is not configured.

        The sample's API is served for as long as the context lasts.
        """
        if self.sample and system == SAMPLE_API_SYSTEM:
            from seeds.sample.api import serve_api

            with serve_api(settings().sample_dir, token=SAMPLE_API_TOKEN) as server:
                yield SourceUrl.parse(server.url, token=SAMPLE_API_TOKEN)
        else:
            yield self.urls.get(system)


def connections(config: Settings | None = None) -> Connections:
    """What the environment says; the sample when it names no system and a sample was built."""
    config = config or settings()
    tokens = source_tokens()
    urls = {
        system: SourceUrl.parse(url, token=tokens.get(system))
        for system, url in source_urls().items()
    }
    if urls or not (config.sample_dir / "sample.json").exists():
        return Connections(urls, sample=False)
    return Connections(_sample_urls(config), sample=True)


def without_contracts(linked: Connections, catalogue: Catalogue) -> list[str]:
    """What a person should hear of an address of a system that no contract names: nothing would be
    read from it, and the sample is not used beside it."""
    known = ", ".join(sorted(catalogue.systems()))
    return [
        f"ningún contrato es del sistema {system!r}: de su dirección no se lee nada. Los sistemas "
        f"con contrato son {known}."
        for system in sorted(linked.urls.keys() - catalogue.systems().keys())
    ]


def _sample_urls(config: Settings) -> dict[str, SourceUrl]:
    folder = config.sample_dir
    urls = {
        "aguas": f"sqlite:///{folder / 'aguas.sqlite'}",
        "citymis": f"sqlite:///{folder / 'citymis.sqlite'}",
        "planillas": str(folder / "planillas"),
        "telemetria": str(folder / "telemetria"),
    }
    server = EmbeddedServer(config.embedded_dir)
    if server.is_running():
        urls["mlc"] = server.url(SAMPLE_DATABASE)
    return {system: SourceUrl.parse(url) for system, url in urls.items()}
