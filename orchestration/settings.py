"""Settings: everything that differs from one machine to the next, read once from the environment.

Belongs here: names, defaults and meaning of environment variables (also read from `.env`), and
the layout of the data folder. Does not belong here: opening anything. Importing this module
touches neither network nor disk, so Dagster's definitions can.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sources.city import city_timezone
from sources.errors import PipelineError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"
REFERENCE_DIR = PROJECT_ROOT / "seeds" / "reference"
ENV_FILE = PROJECT_ROOT / ".env"
# Business days are counted where the city is.
CITY_TIMEZONE = city_timezone()
_SOURCE_PREFIX = "SOURCE_"
# Empty counts as not given.
_WEB_ADDRESS = r"^(https?://\S+)?$"


class SettingsError(PipelineError):
    """A variable of the environment holds what it may not."""


class Settings(BaseSettings):
    """What the environment says.

    One URL per system (`SOURCE_<SYSTEM>_URL`, with `SOURCE_<SYSTEM>_TOKEN` for APIs) is read by
    `source_urls`, because the systems are those of the contracts and not known here.
    """

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore")

    data_dir: Path = Field(
        default=PROJECT_ROOT / "data",
        alias="LUJAN_DATA_DIR",
        description="Folder of everything the project writes.",
    )
    warehouse_url: SecretStr | None = Field(
        default=None,
        alias="WAREHOUSE_URL",
        description="The city's PostgreSQL (15+); unset = embedded server under the data folder.",
    )
    contracts_dirs: str = Field(
        default="",
        alias="LUJAN_CONTRACTS",
        description="Further contract folders, separated like PATH.",
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        default="in_process",
        alias="LUJAN_EXECUTOR",
        description="A step in a process of its own costs about 2 s; the default is one process.",
    )
    ckan_url: str | None = Field(
        default=None, alias="CKAN_URL", pattern=_WEB_ADDRESS, description="The portal."
    )
    ckan_token: SecretStr | None = Field(default=None, alias="CKAN_TOKEN")
    ckan_datastore_url: SecretStr | None = Field(
        default=None,
        alias="CKAN_DATASTORE_URL",
        description="The DataStore's database, with CKAN's writing role; for a city's own portal.",
    )
    portal_url: str | None = Field(
        default=None,
        alias="LUJAN_PORTAL_URL",
        pattern=_WEB_ADDRESS,
        description="Where the local tree is served from, for the addresses in data.json.",
    )
    contact_email: str | None = Field(default=None, alias="LUJAN_CONTACT_EMAIL")
    smtp_url: SecretStr | None = Field(
        default=None, alias="LUJAN_SMTP_URL", description="Mail server of the weekly digest."
    )
    smtp_from: str = Field(default="", alias="LUJAN_SMTP_FROM")
    digest_to: str = Field(
        default="", alias="LUJAN_DIGEST_TO", description="Addresses by area; * is everybody else."
    )
    digest_webhook_url: SecretStr | None = Field(default=None, alias="LUJAN_DIGEST_WEBHOOK_URL")
    digest_webhook_token: SecretStr | None = Field(default=None, alias="LUJAN_DIGEST_WEBHOOK_TOKEN")
    sample_scale: float = Field(
        default=1.0,
        alias="LUJAN_SAMPLE_SCALE",
        gt=0,
        le=1,
        description="Size of the synthetic municipality; 1 is the city's real size.",
    )
    batch_rows: int = Field(
        default=65_536, alias="LUJAN_BATCH_ROWS", ge=100, description="Rows per batch in memory."
    )
    dbt_threads: int = Field(default=4, alias="DBT_THREADS", ge=1)
    ui_port: int = Field(default=3000, alias="LUJAN_UI_PORT")
    docs_port: int = Field(default=8081, alias="LUJAN_DOCS_PORT")

    @property
    def embedded_dir(self) -> Path:
        return self.data_dir / "warehouse"

    @property
    def sample_dir(self) -> Path:
        return self.data_dir / "sample"

    @property
    def exports_dir(self) -> Path:
        return self.data_dir / "exports"

    @property
    def portal_dir(self) -> Path:
        return self.data_dir / "portal"

    @property
    def archive_dir(self) -> Path:
        return self.data_dir / "archivo"

    @property
    def quality_docs_dir(self) -> Path:
        return self.data_dir / "quality"

    @property
    def dagster_home(self) -> Path:
        return Path(os.environ.get("DAGSTER_HOME") or self.data_dir / "dagster")

    @property
    def extra_contracts(self) -> list[Path]:
        return [Path(item) for item in self.contracts_dirs.split(os.pathsep) if item]


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process; tests call `settings.cache_clear()` after changing the env.

    Raises SettingsError naming the variables that cannot be used, never their values.
    """
    try:
        return Settings()
    except ValidationError as error:
        names = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
        raise SettingsError(
            f"valor no admitido en {names}.",
            next_step="corríjalo en el entorno o en .env (los valores posibles: .env.example).",
        ) from None


def source_urls() -> dict[str, str]:
    """Addresses by system, from the environment and `.env` (the environment wins)."""
    return _prefixed("_URL")


def source_tokens() -> dict[str, str]:
    """API tokens by system."""
    return _prefixed("_TOKEN")


def _prefixed(suffix: str) -> dict[str, str]:
    from dotenv import dotenv_values

    values = {k: v for k, v in dotenv_values(ENV_FILE).items() if v}
    values |= os.environ
    return {
        name[len(_SOURCE_PREFIX) : -len(suffix)].lower(): value
        for name, value in values.items()
        if name.startswith(_SOURCE_PREFIX) and name.endswith(suffix) and value
    }
