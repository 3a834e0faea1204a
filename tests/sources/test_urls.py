"""Addresses are understood, and what is secret in them is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.errors import SourceUnavailable
from sources.urls import SourceUrl, redact, register_secret, variable


def test_a_database_address_is_taken_apart() -> None:
    url = SourceUrl.parse("mysql://lector:cla%40ve%2Flarga@10.0.0.5:3307/aguas?ssl=1")

    assert (url.scheme, url.host, url.port, url.user) == ("mysql", "10.0.0.5", 3307, "lector")
    assert (url.database, url.password, url.query["ssl"]) == ("aguas", "cla@ve/larga", "1")


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("postgres://h/d", "postgresql"),
        ("postgresql+psycopg://h/d", "postgresql"),
        ("mariadb+pymysql://h/d", "mysql"),
        ("sqlserver://h/d", "mssql"),
        ("HTTPS://api.ejemplo/v1", "https"),
    ],
)
def test_schemes_have_one_name(text: str, scheme: str) -> None:
    assert SourceUrl.parse(text).scheme == scheme


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/datos/planillas", "/datos/planillas"),
        ("datos/planillas", "datos/planillas"),
        ("file:///datos/con%20espacio", "/datos/con espacio"),
        ("sqlite:///relativa/a.sqlite", "relativa/a.sqlite"),
        ("sqlite:////absoluta/a.sqlite", "/absoluta/a.sqlite"),
    ],
)
def test_paths_are_kept(text: str, path: str) -> None:
    assert SourceUrl.parse(text).path == Path(path)


def test_a_socket_address_of_postgresql_needs_no_host() -> None:
    url = SourceUrl.parse("postgresql://postgres:@/prueba?host=/tmp/pg")

    assert url.query["host"] == "/tmp/pg"
    assert url.safe == "postgresql:///tmp/pg/prueba"


@pytest.mark.parametrize(
    "text", ["oracle://u:muysecreta@h/d", "mysql:///sin-servidor", "mysql://u:muysecreta@h:pp/d"]
)
def test_an_address_that_is_not_understood_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(SourceUnavailable, match="no se entiende la dirección") as held:
        SourceUrl.parse(text)

    assert "muysecreta" not in str(held.value)


def test_no_text_of_an_address_shows_its_secrets() -> None:
    url = SourceUrl.parse(
        "https://cliente:muysecreta@api.ejemplo/v1?api_key=abc123", token="ficha-987654"
    )

    for text in (repr(url), str(url), url.safe, f"{url}"):
        assert "muysecreta" not in text
        assert "abc123" not in text
        assert "ficha-987654" not in text
    assert url.safe == "https://api.ejemplo/v1"


def test_the_environment_names_address_and_token() -> None:
    environ = {"SOURCE_MILUJAN_URL": "https://api.ejemplo", "SOURCE_MILUJAN_TOKEN": "ficha-123456"}

    url = SourceUrl.from_env("milujan", environ)

    assert url is not None
    assert url.token == "ficha-123456"
    assert SourceUrl.from_env("aguas", environ) is None
    assert SourceUrl.from_env("aguas", {"SOURCE_AGUAS_URL": "  "}) is None
    assert variable("aguas") == "SOURCE_AGUAS_URL"


@pytest.mark.parametrize(
    "text",
    [
        "no se pudo abrir postgresql://lector:muysecreta@h:5432/d",
        "mysql://lector:muy/secreta@con:signos@h/d falló",
        "GET https://h/v1?page=2&token=muysecreta&x=1",
        "GET https://h/v1?access_token=muysecreta",
        "password=muysecreta host=h",
        "password='muysecreta' host=h",
        'headers {"api-key": "muysecreta"}',
        "Authorization: Bearer muysecreta.abc-def",
        "contraseña: muysecreta",
    ],
)
def test_redact_hides_every_usual_spelling_of_a_secret(text: str) -> None:
    hidden = redact(text)

    assert "secreta" not in hidden
    assert "***" in hidden


def test_redact_hides_registered_texts_wherever_they_stand() -> None:
    register_secret("xk39-registrado")

    assert redact("el driver dijo xk39-registrado y nada más") == "el driver dijo *** y nada más"


def test_redact_leaves_ordinary_messages_alone() -> None:
    text = "12 filas a las 10:30: columna fecha_hora, tabla public.obras (mysql://h/d)"

    assert redact(text) == text


def test_an_address_of_a_store_names_bucket_prefix_and_server() -> None:
    url = SourceUrl.parse(
        "s3://CLAVE:secreta%2Flarga@Balde.Mayus/lecturas/a%C3%B1o?endpoint_url=http%3A%2F%2Fh%3A9000"
    )

    assert (url.scheme, url.host, url.database) == ("s3", "Balde.Mayus", "lecturas/año")
    assert (url.user, url.password) == ("CLAVE", "secreta/larga")
    assert url.query["endpoint_url"] == "http://h:9000"
    assert url.safe == "s3://Balde.Mayus/lecturas/año"


def test_an_address_of_an_sftp_server_is_taken_apart() -> None:
    url = SourceUrl.parse("sftp://lector:cla%40ve@10.0.0.5:2222/salida/agua?key_file=/llaves/a")

    assert (url.scheme, url.host, url.port, url.user) == ("sftp", "10.0.0.5", 2222, "lector")
    assert (url.database, url.password, url.query["key_file"]) == (
        "salida/agua",
        "cla@ve",
        "/llaves/a",
    )
    assert url.safe == "sftp://10.0.0.5:2222/salida/agua"


@pytest.mark.parametrize(
    "text",
    [
        "fallo en s3://CLAVE:muysecreta@balde/x?endpoint_url=http://h",
        "fallo en s3://CLAVE:muy/secreta+con=signos@balde/x",
        "fallo en sftp://lector:muysecreta@h:22/x",
        "aws_secret_access_key=muysecreta",
    ],
)
def test_redact_hides_keys_of_stores_and_servers(text: str) -> None:
    assert "secreta" not in redact(text)
