"""The sources file: what it means, and how each mistake in it is named."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.sources.config import SourcesFileError, load_receiver, load_sources, read_sources
from server.sources.source import Source

PROMETHEUS = 'name = "prom"\nkind = "prometheus"\nurl = "https://prometheus.example"\n'
JAEGER = 'name = "jaeger"\nkind = "jaeger"\nurl = "https://jaeger.example/base/"\n'


def sources(folder: Path, *tables: str) -> tuple[Source, ...]:
    content = "\n".join(f"[[source]]\n{table}" for table in tables)
    return read_sources(content.encode(), folder / "sources.toml")


def problem(folder: Path, *tables: str) -> str:
    with pytest.raises(SourcesFileError) as error:
        sources(folder, *tables)
    return str(error.value).removeprefix(f"{folder / 'sources.toml'}: ")


def test_a_source_needs_a_name_a_kind_and_an_address(tmp_path: Path) -> None:
    prometheus, jaeger = sources(tmp_path, PROMETHEUS, JAEGER)
    assert (prometheus.kind, prometheus.profile, prometheus.metric) == (
        "prometheus",
        "servicegraph",
        "traces_service_graph_request_total",
    )
    assert (prometheus.every, prometheus.window) == (timedelta(minutes=1), timedelta(minutes=5))
    assert (jaeger.every, jaeger.window) == (timedelta(minutes=5), timedelta(days=1))
    assert jaeger.url == "https://jaeger.example/base"
    assert (prometheus.discovery_source, jaeger.discovery_source) == ("otel_service_graph",) * 2


def test_istio_is_a_mesh(tmp_path: Path) -> None:
    (source,) = sources(tmp_path, PROMETHEUS + 'profile = "istio"')
    assert source.discovery_source == "service_mesh"


def test_files_are_found_from_the_folder_of_the_sources_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    path = tmp_path / "sources.toml"
    path.write_text(
        f'[[source]]\n{PROMETHEUS}token_file = "token"\n'
        '[[source]]\nname = "k8s"\nkind = "kubernetes"\npath = ["deploy/**/*.yaml"]\n'
    )
    prometheus, kubernetes = load_sources(path)
    assert prometheus.credentials is not None
    assert prometheus.credentials.file == tmp_path / "token"
    assert kubernetes.paths == (str(tmp_path / "deploy/**/*.yaml"),)


def test_a_receiver_of_otlp_has_a_name_and_rules_and_is_not_pulled(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    otlp = '[[source]]\nname = "collectors"\nkind = "otlp"\nconfidence = 0.5\n'
    rules = '[source.names]\nrewrites = [["-v[0-9]+$", ""]]\n'
    path.write_text(f"[[source]]\n{PROMETHEUS}")
    assert load_receiver(path) is None
    path.write_text(f"[[source]]\n{PROMETHEUS}{otlp}{rules}")
    receiver = load_receiver(path)
    assert receiver is not None
    assert (receiver.name, receiver.confidence) == ("collectors", 0.5)
    assert receiver.names.name_of({"service": "cart-v2"}) == "cart"
    assert [source.kind for source in load_sources(path)] == ["prometheus"]


def test_there_is_one_receiver_of_otlp_without_an_interval(tmp_path: Path) -> None:
    one, other = ('name = "one"\nkind = "otlp"\n', 'name = "other"\nkind = "otlp"\n')
    assert "there is one receiver" in problem(tmp_path, one, other)
    assert "every" in problem(tmp_path, one + 'every = "1m"')


def test_rules_for_names_are_a_template_and_rewrites(tmp_path: Path) -> None:
    table = '[source.names]\ntemplate = "{namespace}/{service}"\nrewrites = [["-v[0-9]+$", ""]]'
    (source,) = sources(tmp_path, PROMETHEUS + table)
    assert source.names.name_of({"namespace": "shop", "service": "cart-v2"}) == "shop/cart"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('kind = "jaeger"', "[[source]] number 1: name: is missing: give the name of the reporter"),
        ('name = "a\\nb"\nkind = "jaeger"', "[[source]] number 1: name: holds U+000A"),
        ('name = "a"\nkind = "jäger"', "source 'a': kind: 'jäger' is not known (did you mean jaeger?)"),
        ('name = "a"\nkind = "jaeger"', "source 'a': url: is missing"),
        ('name = "a"\nkind = "kubernetes"', "source 'a': path: is missing"),
        ('name = "a"\nkind = "file"\npath = "x"', "source 'a': discovery_source: is missing"),
        ('name = "a"\nkind = "jaeger"\nurl = "jaeger:16686"', "source 'a': url: must be https://HOST"),
        ('name = "a"\nkind = "jaeger"\nurl = "https://u:p@host"', "source 'a': url: must not have a user"),
        (JAEGER + 'evry = "1m"', "source 'jaeger': evry: is not known here (did you mean every?)"),
        (JAEGER + 'every = "1 minute"', "source 'jaeger': every: '1 minute' is no duration"),
        (JAEGER + 'every = "0s"', "source 'jaeger': every: '0s' must be longer than 0"),
        (JAEGER + 'profile = "istio"', "source 'jaeger': profile: is not known here"),
        (PROMETHEUS + 'metric = "a b"', "source 'prom': metric: 'a b' is no name of a metric"),
        (PROMETHEUS + 'token = "x"', "source 'prom': token: secrets don't belong here: give token_file"),
        (PROMETHEUS + 'token_file = "none"', "source 'prom': token_file: there is no file"),
        (PROMETHEUS + 'user = "x"', "source 'prom': user: user and password_file or password_env are given"),
        (PROMETHEUS + 'token_env = "A"\npassword_env = "B"', "source 'prom': password_env: token_env is"),
        (PROMETHEUS + 'client_cert = "sources.toml"', "source 'prom': client_cert: "),
        (PROMETHEUS + "confidence = 2.0", "source 'prom': confidence: must be a number from 0 to 1"),
        (
            PROMETHEUS + "[source.headers]\nAuthorization = 'x'",
            "source 'prom': headers.Authorization: secrets",
        ),
        (PROMETHEUS + "[source.headers]\nX-Scope-OrgID = 5", "source 'prom': headers.X-Scope-OrgID: must be"),
        (PROMETHEUS + '[source.names]\ntemplate = "{x"', "source 'prom': names: template: has no attribute"),
        (
            PROMETHEUS + '[source.names]\nrewrites = [["(", ""]]',
            "source 'prom': names: rewrites, number 1: is",
        ),
        (
            PROMETHEUS + '[source.names]\nrewrites = [["a", "\\\\1"]]',
            "source 'prom': names: rewrites, number 1",
        ),
        (
            PROMETHEUS + '[source.names]\nrewrites = ["a"]',
            "source 'prom': names: rewrites, number 1: must be",
        ),
        (
            'name = "a"\nkind = "jaeger"\nurl = "http://jaeger.example"\ntoken_env = "A"',
            "source 'a': url: credentials would be sent without TLS",
        ),
    ],
)
def test_a_mistake_is_named_with_source_and_key(tmp_path: Path, table: str, expected: str) -> None:
    (tmp_path / "sources.toml").touch()
    assert problem(tmp_path, table).startswith(expected)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    assert problem(tmp_path, JAEGER, JAEGER) == "source 'jaeger': name: another source has it, too"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "has no source"),
        (b"[[sources]]", "sources: is not known here (did you mean source?)"),
        (b"[source]", "source: must be tables, each under [[source]]"),
        (b"= 1", "this is no TOML"),
        (b"\xff", "this is no TOML"),
    ],
)
def test_a_file_without_sources_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(SourcesFileError) as error:
        read_sources(content, tmp_path / "sources.toml")
    assert str(error.value).startswith(f"{tmp_path / 'sources.toml'}: {expected}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourcesFileError, match=r"none\.toml: No such file"):
        load_sources(tmp_path / "none.toml")


def test_plaintext_is_allowed_by_name_and_to_this_host(tmp_path: Path) -> None:
    table = 'name = "a"\nkind = "jaeger"\ntoken_env = "A"\nurl = "http://'
    (far,) = sources(tmp_path, table + 'jaeger.example"\nplaintext_credentials = true')
    (near,) = sources(tmp_path, table + '127.0.0.1:16686"')
    assert far.credentials == near.credentials is not None
