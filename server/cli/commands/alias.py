"""``depgraph alias``: other names of services, and services that are one under two names."""

import shlex
from typing import Annotated

import typer

from depgraph.v1.catalog_service_pb2 import (
    AddAliasRequest,
    AliasSuggestion,
    GetServiceRequest,
    ListAliasesRequest,
    MergeServicesRequest,
    MergeServicesResponse,
    RemoveAliasRequest,
    SuggestAliasesRequest,
)
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.failures import confirm
from server.cli.options import AsJson, Yes
from server.cli.render.text import aligned, counted, fields_of, listing, print_json, print_lines, visible

PAGE_SIZE = 1_000

app = typer.Typer(help="Give services other names; merge them.", no_args_is_help=True)

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The other name.")]


@app.command()
@asks_server(timeout=30.0)
def add(
    alias: Alias,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Business name of the service.")],
    *,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Give a service another name.

    Reports, writes and questions that give this name then mean the service. Where a service has the
    name already, 'depgraph alias merge' makes the two one.
    """
    with connected(server) as client:
        added = client.catalog.AddAlias(AddAliasRequest(alias=alias, service_id=service)).alias
    if as_json:
        print_json({"alias": fields_of(added)})
    else:
        print_lines([f"{visible(added.alias)} is an alias of {visible(added.service_id)}"])


@app.command()
@asks_server(timeout=30.0)
def remove(alias: Alias, *, as_json: AsJson = False, server: AskedServer) -> None:
    """
    Take an alias away.

    The service stays as it is. A source that reports the name again creates a service.
    """
    with connected(server) as client:
        client.catalog.RemoveAlias(RemoveAliasRequest(alias=alias))
    if as_json:
        print_json({"alias": alias})
    else:
        print_lines([f"removed the alias {visible(alias)}"])


@app.command(name="list")
@asks_server(timeout=30.0)
def list_aliases(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Only aliases of this service. Default: all.")
    ] = "",
    *,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """List aliases and their services."""
    request = ListAliasesRequest(page_size=PAGE_SIZE, service_id=service)
    with connected(server) as client:
        if service:
            # Fails, and suggests names, if there is none.
            client.catalog.GetService(GetServiceRequest(service_id=service))
        aliases = [each for page in pages(client.catalog.ListAliases, request) for each in page.aliases]
    if as_json:
        print_json({"aliases": [fields_of(each) for each in aliases]})
    elif aliases:
        rows = [(visible(each.alias), visible(each.service_id)) for each in aliases]
        print_lines(aligned([("ALIAS", "SERVICE"), *rows]))
    else:
        print_lines(["no aliases"])


@app.command()
@asks_server(timeout=60.0)
def merge(
    going: Annotated[str, typer.Argument(metavar="FROM", help="The service that goes.")],
    staying: Annotated[str, typer.Argument(metavar="INTO", help="The service that stays.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what a merge would do.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Make two services one.

    The dependencies and aliases of FROM go over to INTO, and its name becomes an alias. There is no
    command to undo that. Calls between the two are dropped.
    """
    request = MergeServicesRequest(from_service_id=going, into_service_id=staying, validate_only=True)
    with connected(server) as client:
        if dry_run or not yes:
            answer = client.catalog.MergeServices(request)
            if not (dry_run and as_json):
                print_lines(_would(going, answer), err=not dry_run)
        if not dry_run:
            if not yes:
                confirm("Merge them?")
            request.validate_only = False
            answer = client.catalog.MergeServices(request)
    if as_json:
        print_json(fields_of(answer))
    elif not dry_run:
        print_lines([f"merged {visible(going)} into {visible(answer.service.service_id)}: {_counts(answer)}"])


@app.command()
@asks_server(timeout=60.0)
def suggest(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Only pairs with this service. Default: all.")
    ] = "",
    *,
    min_score: Annotated[
        float, typer.Option(metavar="SCORE", min=0.0, max=1.0, help="Only pairs at least so much alike.")
    ] = 0.5,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Pairs listed, 0 = all; --json has all.")] = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    List pairs of services that look like one.

    Their names are equal but for case, separators, namespaces and versions, or they have nearly the
    same callers and callees. Look at a pair with 'depgraph show' before you merge it.
    """
    request = SuggestAliasesRequest(page_size=PAGE_SIZE, service_id=service, min_score=min_score)
    with connected(server) as client:
        found = [each for page in pages(client.catalog.SuggestAliases, request) for each in page.suggestions]
    if as_json:
        print_json({"suggestions": [fields_of(each) for each in found]})
    elif found:
        rows = [_suggested(each) for each in found[: top or None]]
        heads = ("SCORE", "SERVICE", "OTHER NAME", "WHY", "TO MERGE THEM")
        print_lines(listing(heads, rows, len(found)))
    else:
        print_lines(["no two services look like one"])


def _suggested(pair: AliasSuggestion) -> tuple[str, ...]:
    names = [visible(pair.service_id), visible(pair.other_service_id)]
    end = ["--"] if any(name.startswith("-") for name in names) else []
    command = shlex.join(["depgraph", "alias", "merge", *end, *reversed(names)])
    return f"{pair.score:.2f}", *names, visible(pair.reason), command


def _would(going: str, answer: MergeServicesResponse) -> list[str]:
    name = visible(going)
    return [
        f"would merge {name} into {visible(answer.service.service_id)}: {_counts(answer)}",
        f"{name} would be an alias",
    ]


def _counts(answer: MergeServicesResponse) -> str:
    parts = [
        f"{counted(answer.dependencies_moved, 'dependency', 'dependencies')} moved",
        f"{answer.dependencies_merged:,} merged with parallel ones",
        f"{counted(answer.self_calls_dropped, 'call')} between the two dropped",
        f"{counted(answer.aliases_moved, 'alias', 'aliases')} moved",
    ]
    return ", ".join(parts)
