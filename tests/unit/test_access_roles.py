import pytest
from google.protobuf.descriptor_pool import Default

from server.access.roles import ROLES_OF_METHODS, check_roles
from server.domain.caller import ROLES, Role
from server.domain.errors import PermissionDeniedError
from server.rpc.server import CONTRACT

METHODS = [
    f"/{service}/{method.name}"
    for service in CONTRACT
    for method in Default().FindServiceByName(service).methods
]


def test_every_method_of_the_contract_has_roles_and_no_other_method_has() -> None:
    assert set(METHODS) == set(ROLES_OF_METHODS)


@pytest.mark.parametrize("role", ROLES)
def test_a_method_that_is_not_in_the_table_is_denied(role: Role) -> None:
    with pytest.raises(PermissionDeniedError):
        check_roles("/depgraph.v1.CatalogService/DropEverything", frozenset({role}))


def test_a_caller_without_roles_may_ask_who_it_is_and_nothing_else() -> None:
    check_roles("/depgraph.v1.AccessService/WhoAmI", frozenset())
    for method in set(METHODS) - {"/depgraph.v1.AccessService/WhoAmI"}:
        with pytest.raises(PermissionDeniedError):
            check_roles(method, frozenset())
