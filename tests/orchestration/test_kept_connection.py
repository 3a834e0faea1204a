"""A step keeps one connection for all it does, and no error of one use reaches the next."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from orchestration.warehouse.connection import KeptConnection, Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]


def _process(connection: Connection) -> int:
    return connection.info.backend_pid


def test_one_connection_serves_use_after_use(warehouse: Warehouse) -> None:
    with closing(KeptConnection(warehouse)) as kept:
        with kept.connect() as first:
            first.execute("create table kept_here (n int)")
            one = _process(first)
        with kept.connect() as second:
            assert second.execute("select count(*) from kept_here").fetchone() == (0,)
            two = _process(second)
    assert one == two
    assert second.closed


def test_a_use_within_another_gets_its_own(warehouse: Warehouse) -> None:
    with closing(KeptConnection(warehouse)) as kept, kept.connect() as outer:
        outer.execute("create table nobody_else_sees (n int)")
        with kept.connect() as inner:
            seen = inner.execute("select to_regclass('nobody_else_sees')::text").fetchone()
            assert _process(inner) != _process(outer)
        assert seen == (None,)
    assert inner.closed
    assert outer.closed


def test_an_error_undoes_its_use_and_ends_the_connection(warehouse: Warehouse) -> None:
    with closing(KeptConnection(warehouse)) as kept:
        with pytest.raises(ZeroDivisionError), kept.connect() as failed:
            failed.execute("create table undone (n int)")
            raise ZeroDivisionError
        assert failed.closed
        with kept.connect() as connection:
            assert connection.execute("select to_regclass('undone')::text").fetchone() == (None,)


def test_a_connection_that_the_server_ended_is_replaced(warehouse: Warehouse) -> None:
    with closing(KeptConnection(warehouse)) as kept:
        with kept.connect() as first:
            ended = _process(first)
        with warehouse.connect() as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [ended])
        with kept.connect() as second:
            assert second.execute("select 1").fetchone() == (1,)
            assert _process(second) != ended


def test_nothing_of_one_use_is_left_for_the_next(warehouse: Warehouse) -> None:
    """Statements prepared for one table's columns would not fit those it has later."""
    with closing(KeptConnection(warehouse)) as kept:
        for round_ in range(12):
            with kept.connect() as connection:
                connection.execute("set local work_mem = '1MB'")
                connection.execute("create temporary table input (a int) on commit drop")
                connection.execute("select pg_advisory_xact_lock(7)")
                if round_ % 2:
                    connection.execute("alter table input add column b int")
                connection.execute("select * from input").fetchall()
        with kept.connect() as connection:
            locks = connection.execute(
                "select count(*) from pg_locks where locktype = 'advisory' and pid = %s",
                [_process(connection)],
            ).fetchone()
            assert connection.execute("select to_regclass('pg_temp.input')").fetchone() == (None,)
    assert locks == (0,)
