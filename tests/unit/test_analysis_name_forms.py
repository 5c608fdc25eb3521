"""Names as sources write them, and what remains of them."""

import pytest

from graphcore.analysis.name_forms import NameForms

# Others from which it can be learned that "shop" and "billing" are namespaces.
OTHERS = ["shop/cart", "billing/cart", "checkout"]


def cores(name: str, *others: str) -> set[tuple[str, str]]:
    """Return each core that a name may have, with its qualifiers."""
    forms = NameForms([name, *OTHERS, *others]).of(name)
    return {(form.key, "+".join(sorted(form.qualifiers))) for form in forms}


@pytest.mark.parametrize(
    "name",
    [
        "CHECKOUT",
        "Checkout_Service",
        "checkout-service",
        "checkoutservice",
        "CheckoutService",
        "checkout-svc",
        "svc-checkout",
        "checkout-v2",
        "checkout_v2.1",
        "CheckoutV2",
        "checkout-1.4.2",
        "checkout:8080",
        "http://checkout:8080/pay",
        "component:default/checkout",
        "checkout-7d9f8b6c5d-x2x4q",
        "checkout-7d9f8b6c5d",
    ],
)
def test_case_separators_versions_and_words_that_say_nothing_are_folded(name: str) -> None:
    assert cores(name) == {("checkout", "")}


@pytest.mark.parametrize(
    "name",
    [
        "shop/checkout",
        "shop/checkout-service",
        "checkout.shop",
        "shop.checkout",
        "checkout.shop.svc",
        "checkout.shop.svc.cluster.local",
        "http://checkout.shop.svc.cluster.local:80/",
        "shop/shop-checkout",
    ],
)
def test_namespaces_stand_apart_from_the_core(name: str) -> None:
    assert cores(name) == {("checkout", "shop")}


def test_a_cluster_is_one_more_qualifier() -> None:
    assert cores("prod-eu-1/shop/checkout") == {("checkout", "prodeu1+shop")}


def test_a_first_word_that_is_a_namespace_elsewhere_may_be_one() -> None:
    assert cores("shop-checkout") == {("shopcheckout", ""), ("checkout", "shop")}
    assert cores("shop-checkout-7d9f8b6c5d-x2x4q") == {("shopcheckout", ""), ("checkout", "shop")}
    assert cores("data-checkout") == {("datacheckout", "")}
    assert cores("etl/shop-checkout") == {("shopcheckout", "etl")}
    assert cores("online-shop-ad", "online-shop/cart") == {("onlineshopad", ""), ("ad", "onlineshop")}


def test_labels_that_stand_beside_many_others_are_namespaces() -> None:
    others = ["carts.front", "orders.front", "users.front"]
    assert cores("checkout.front", *others) == {("checkout", "front")}
    assert cores("checkout.front") == {("checkoutfront", "")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("service-1", "service-2"),
        ("worker-a", "worker-b"),
        ("payment", "payments-api"),
        ("cart", "cart-db"),
        ("checkout", "checkout-canary"),
        ("10.1.2.3:80", "10.1.2.3:81"),
        ("api.stripe.com", "api.paypal.com"),
        ("gcc", "g++"),
        ("libfoo1.74.0", "libfoo1.81.0"),
        ("redis-0", "redis-1"),
        ("log4j", "log-4-js"),
    ],
)
def test_names_of_different_things_have_different_cores(one: str, other: str) -> None:
    assert cores(one).isdisjoint(cores(other))


@pytest.mark.parametrize(
    "name", ["", "-", "/", "...", "svc", "service", "v2", ":80", "http://", "v", "ж", "数据-库"]
)
def test_any_name_has_a_form(name: str) -> None:
    assert NameForms([name]).of(name)
