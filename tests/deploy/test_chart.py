"""The Helm chart, rendered by Helm's own engine and held against the schemas of Kubernetes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.command import ROOT
from tests.support.flags import moved, settings_of
from tests.support.required import required_package

CHART = ROOT / "deploy/helm/depgraph"
EXAMPLES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
OLDEST, NEWEST = "1.27", "1.37"
MESH = {"database": {"existingSecret": "db"}, "allowPlaintext": True}
TLS = {"database": {"existingSecret": "db"}, "tls": {"existingSecret": "tls"}}


@pytest.fixture(scope="module")
def chart() -> Iterator[Any]:
    with required_package("helm_python").Chart.load(CHART) as loaded:
        yield loaded


def values_of(example: str) -> dict[str, Any]:
    text = (CHART / f"ci/{example}-values.yaml").read_text()
    values: dict[str, Any] = required_package("yaml").safe_load(text)
    return values


def objects(chart: Any, values: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Render what would be sent to a cluster, by kind."""
    yaml = required_package("yaml")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, text in chart.render(values, name="graph", namespace="shop").items():
        for each in yaml.safe_load_all("" if name.endswith(".txt") else text):
            if each:
                found.setdefault(each["kind"], []).append(each)
    return found


def only(chart: Any, values: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = objects(chart, values)[kind]
    return found


def pods(rendered: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        each["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for each in rendered.get(kind, ())
    ]


def server(chart: Any, values: dict[str, Any]) -> dict[str, Any]:
    (container,) = only(chart, values, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_rendered_is_valid_for_the_oldest_and_the_newest_kubernetes(chart: Any, example: str) -> None:
    kubernetes = required_package("kubernetes_validate")
    rendered = objects(chart, values_of(example))
    for custom in ("ServiceMonitor", "PrometheusRule"):
        rendered.pop(custom, None)
    assert {
        "Deployment",
        "Service",
        "ServiceAccount",
        "PodDisruptionBudget",
        "NetworkPolicy",
    } <= rendered.keys()
    for each in (each for kind in rendered.values() for each in kind):
        for version in (OLDEST, NEWEST):
            assert kubernetes.validate(each, version, strict=True) == version


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_finds_no_fault_with_the_chart(example: str) -> None:
    required_package("helm_python")
    report = required_package("helm_python.chart").lint(CHART, values_of(example), strict=True)
    assert report["errors"] == []


def test_the_schemas_find_a_field_that_does_not_exist(chart: Any) -> None:
    kubernetes = required_package("kubernetes_validate")
    deployment = only(chart, MESH, "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(deployment, NEWEST, strict=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_server_takes_the_arguments_and_finds_the_files_that_the_chart_gives_it(
    chart: Any, example: str, tmp_path: Path
) -> None:
    container = server(chart, values_of(example))
    folders = [mount["mountPath"] for mount in container["volumeMounts"]]
    settings = settings_of(moved(container["args"], folders, tmp_path))
    assert settings["health_listen"].startswith("0.0.0.0:")


def test_an_argument_that_does_not_exist_is_refused() -> None:
    with pytest.raises(typer.TyperException, match="No such option"):
        settings_of(["serve", "--no-such-flag"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_container_has_a_right_that_it_does_not_need(chart: Any, example: str) -> None:
    rendered = objects(chart, values_of(example))
    assert all(not each["automountServiceAccountToken"] for each in rendered["ServiceAccount"])
    for pod in pods(rendered):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_secret_stands_in_what_is_rendered(chart: Any, example: str) -> None:
    rendered = objects(chart, values_of(example))
    assert "Secret" not in rendered
    for pod in pods(rendered):
        environment = {each["name"]: each for container in pod["containers"] for each in container["env"]}
        assert "secretKeyRef" in environment["DATABASE_URL"]["valueFrom"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_replica_gets_the_time_that_it_takes_to_stop(chart: Any, example: str) -> None:
    pod = only(chart, values_of(example), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    grace = next(int(each.partition("=")[2]) for each in container["args"] if each.startswith("--grace="))
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= waits + grace + 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_ports_that_are_named_are_those_that_the_server_listens_on(chart: Any, example: str) -> None:
    values = values_of(example)
    container = server(chart, values)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    flags = dict(each.removeprefix("--").split("=", 1) for each in container["args"] if "=" in each)
    calls = flags["tls-listen"] if "tls-listen" in flags else flags["listen"]
    assert calls == f"0.0.0.0:{ports['grpc']}"
    assert flags["health-listen"] == f"0.0.0.0:{ports['health']}"
    assert flags["metrics-listen"] == f"0.0.0.0:{ports['metrics']}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["grpc"]["port"] == ports["health"]
    targets = {
        port["targetPort"] for each in objects(chart, values)["Service"] for port in each["spec"]["ports"]
    }
    http = {"http"} if "http-listen" in flags else set()
    assert targets == {"grpc", "metrics"} | http
    if http:
        assert flags["http-listen"] == f"0.0.0.0:{ports['http']}"


def test_replicas_are_replaced_one_by_one_and_none_is_missing(chart: Any) -> None:
    rolling = only(chart, MESH, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_single_replica_has_no_disruption_budget_that_would_block_a_drain(chart: Any) -> None:
    assert "PodDisruptionBudget" not in objects(chart, MESH | {"replicas": 1})


def test_clients_find_every_replica_behind_one_name(chart: Any) -> None:
    calls, _ = objects(chart, MESH)["Service"]
    assert calls["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"allowPlaintext": True}, "database.existingSecret names no secret"),
        ({"database": {"existingSecret": "db"}}, "choose how callers connect"),
        (TLS | {"allowPlaintext": True}, "contradict each other"),
        (MESH | {"tls": {"clientCA": {"existingSecret": "ca"}}}, "needs tls.existingSecret"),
    ],
)
def test_an_open_or_contradictory_choice_is_a_sentence(
    chart: Any, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(required_package("helm_python").HelmRenderError, match=sentence):
        chart.render(values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replica": 3},
        {"replicas": "3"},
        {"replicas": -1},
        {"allowPlaintext": "true"},
        {"port": 80},
        {"database": {"url": "postgresql://user:password@host/graph"}},
        {"database": {"existingSecret": "Not_A_Name"}},
        {"migrations": {"runBy": "nobody"}},
        {"tls": {"clientCA": {"secret": "ca"}}},
        {"auth": {"key": "../token"}},
        {"trustProxy": ["gateway.example.com"]},
        {"grace": 1.5},
        {"extraArgs": ["serve"]},
        {"image": {"pullPolicy": "Sometimes"}},
        {"networkPolicy": {"callers": "everybody"}},
        {"metrics": {"serviceMonitor": {"interval": "30"}}},
        {"nodeSelector": {"zone": 1}},
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        {"podDisruptionBudget": {"maxUnavailable": "some"}},
    ],
)
def test_the_schema_of_values_refuses_what_is_wrong_and_names_it(chart: Any, wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    while isinstance(value, dict):
        ((name, value),) = value.items()
    with pytest.raises(required_package("helm_python").HelmValuesError, match=name):
        chart.render(MESH | wrong)


def test_every_value_of_the_chart_is_in_its_schema(chart: Any) -> None:
    assert chart.values.keys() <= chart.schema["properties"].keys()
    chart.validate_schema(MESH)


def test_a_job_migrates_as_the_owner_and_replicas_never_do(chart: Any) -> None:
    values = MESH | {"migrations": {"runBy": "job", "existingSecret": "owner"}}
    (container,) = only(chart, values, "Job")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["migrate", "up"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "owner"
    assert "--no-migrate" in server(chart, values)["args"]
    assert "--no-migrate" not in server(chart, MESH)["args"]
    settings_of(container["args"])


def test_a_service_monitor_selects_the_port_that_has_metrics(chart: Any) -> None:
    values = MESH | {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}}
    rendered = objects(chart, values)
    (monitor,) = rendered["ServiceMonitor"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "30s"}
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    selected = [each for each in rendered["Service"] if wanted <= each["metadata"]["labels"].items()]
    assert [[port["name"] for port in each["spec"]["ports"]] for each in selected] == [["metrics"]]


def test_the_rules_of_the_chart_are_those_that_are_tested(chart: Any) -> None:
    rule = only(chart, values_of("everything"), "PrometheusRule")
    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    tested = required_package("yaml").safe_load((ROOT / "deploy/prometheus/depgraph.rules.yaml").read_text())
    assert rule["spec"] == tested
    assert "PrometheusRule" not in objects(chart, MESH)


def test_the_policy_of_the_network_names_who_may_call_and_who_may_read_metrics(chart: Any) -> None:
    policy = only(chart, values_of("everything"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert [rule["ports"] for rule in policy["ingress"]] == [
        [{"port": "grpc"}, {"port": "http"}],
        [{"port": "metrics"}],
    ]
    closed = only(chart, MESH | {"networkPolicy": {"callers": [], "scrapers": []}}, "NetworkPolicy")
    assert "ingress" not in closed["spec"]


def test_the_console_is_known_by_the_names_of_the_service_and_by_those_that_are_given(chart: Any) -> None:
    args = server(chart, values_of("everything"))["args"]
    hosts = [each.partition("=")[2] for each in args if each.startswith("--http-host=")]
    assert hosts[-1] == "graph.example.com"
    name = only(chart, values_of("everything"), "Deployment")["metadata"]["name"]
    assert name in hosts
    assert any(each.startswith(f"{name}.") and each.endswith(".svc") for each in hosts)
    assert not [each for each in server(chart, MESH)["args"] if each.startswith("--http")]


def test_the_notes_say_what_is_still_open(chart: Any) -> None:
    notes = chart.render(MESH, name="graph", namespace="shop")["depgraph/templates/NOTES.txt"]
    assert "WITHOUT TLS" in notes
    assert "Every caller is an admin" in notes
    tls = chart.render(
        values_of("tls") | {"auth": {"existingSecret": "who"}}, name="graph", namespace="shop"
    )["depgraph/templates/NOTES.txt"]
    assert "with TLS, for callers with a certificate" in tls
    assert "Every caller" not in tls
