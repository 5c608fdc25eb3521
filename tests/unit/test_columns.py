"""The definitions of columns against the rows and messages that they describe."""

import pytest

from depgraph.v1 import types_pb2
from server.domain.columns import Column
from server.domain.dependencies import DEPENDENCY_COLUMNS, Dependency, DependencyDraft, DependencyRow
from server.domain.services import SERVICE_COLUMNS, Service, ServiceDraft
from server.wire.columns import DEPENDENCY, SERVICE, WireColumn


def given(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in columns if column.role != "generated")


def test_rows_have_the_defined_columns_in_their_order() -> None:
    assert tuple(column.name for column in SERVICE_COLUMNS) == Service._fields
    assert tuple(column.name for column in DEPENDENCY_COLUMNS) == Dependency._fields
    assert Dependency._fields[3:] == DependencyRow._fields[3:]


def test_drafts_have_the_columns_that_writers_give() -> None:
    assert given(SERVICE_COLUMNS) == ServiceDraft._fields
    assert given(DEPENDENCY_COLUMNS) == DependencyDraft._fields


@pytest.mark.parametrize("columns", [SERVICE, DEPENDENCY])
def test_columns_stand_in_the_order_of_their_field_numbers(columns: tuple[WireColumn, ...]) -> None:
    tags = [wire.tag for wire in columns]
    assert tags == sorted(tags)


def test_every_field_of_the_contract_has_a_column() -> None:
    assert {column.contract_field for column in SERVICE_COLUMNS} == set(
        types_pb2.Service.DESCRIPTOR.fields_by_name
    )
    assert {column.contract_field for column in DEPENDENCY_COLUMNS} == set(
        types_pb2.Dependency.DESCRIPTOR.fields_by_name
    )
