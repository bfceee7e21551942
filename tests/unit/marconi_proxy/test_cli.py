"""The commands over the admin API, run in this process against a real one."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from catalog.model import Partition, Tenant
from marconi_proxy.admin_client import client as admin_client
from marconi_proxy.cli import verb
from marconi_proxy.cli.main import main
from tests.unit.admin_api import admin_api, put_partition, put_placement, versions
from tests.unit.cli_bridge import runner


@pytest.fixture
def quiet_logging():
    """Commands configure logging for their process; give it back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path, {"one": versions("1", "2")}, admin__token="secret") as api:
        api.client.headers["x-auth-token"] = "secret"
        yield api


@pytest.fixture
def run(api, monkeypatch, capsys, quiet_logging):
    return runner(api, monkeypatch, capsys)


REGISTER = ("partition", "register", "p", "--host", "http://one", "-f", "json")
P = {
    "name": "p",
    "weight": 100,
    "hosts": ["http://one"],
    "region": None,
    "labels": [],
    "state": "enabled",
    "api_versions": ["v1", "v2"],
    "inventory": None,
    "fences": False,
    "store": None,
    "same_store": [],
}


async def test_partitions_are_registered_changed_and_deleted(run):
    ended = await run(*REGISTER)
    assert (ended.status, ended.json) == (0, P)
    assert "Registered partition p." in ended.err
    ended = await run(*REGISTER)
    assert (ended.status, ended.json) == (0, P)
    assert "was registered already" in ended.err
    members = ("--weight", "7", "--region", "eu", "--label", "b", "--label", "a", "--api-version", "v1.1")
    ended = await run("partition", "set", "p", *members, "--state", "disabled", "-f", "json")
    changed = {"weight": 7, "region": "eu", "labels": ["a", "b"], "api_versions": ["v1.1"], "state": "disabled"}
    assert (ended.status, ended.json) == (0, P | changed)
    ended = await run("partition", "set", "p", "--inventory", "http://one:8890/", "-f", "json")
    assert ended.json == P | changed | {"inventory": "http://one:8890"}
    none = ("--region", "", "--label", "", "--inventory", "")
    ended = await run("partition", "set", "p", *none, "-f", "json")
    assert ended.json == P | changed | {"region": None, "labels": []}
    assert (await run("partition", "cordon", "p", "-f", "json")).json["state"] == "cordoned"
    assert (await run("partition", "uncordon", "p", "-f", "json")).json["state"] == "enabled"
    assert (await run("partition", "show", "p", "-f", "json")).json["weight"] == 7
    for _ in range(2):
        ended = await run("partition", "delete", "p")
        assert (ended.status, ended.out) == (0, "")
    assert (await run("partition", "list", "-f", "json")).json == []


async def test_a_partition_nobody_answers_for_is_registered_and_says_so(run):
    ended = await run("partition", "register", "p", "--host", "http://two", "-f", "json")
    assert (ended.status, ended.json["api_versions"]) == (0, [])
    assert "not known yet" in ended.err


async def test_partitions_are_listed_for_people_and_programs(run, api):
    await put_partition(api.catalog, "p", "http://one", "http://two")
    await put_partition(api.catalog, "q")
    ended = await run("partition", "list", "-f", "json")
    assert [(p["name"], p["hosts"]) for p in ended.json] == [
        ("p", ["http://one", "http://two"]),
        ("q", ["http://q:8888"]),
    ]
    assert "| http://one, http://two |" in (await run("partition", "list")).out


async def test_one_thing_as_csv_and_as_values(run):
    await run(*REGISTER)
    ended = await run("partition", "show", "p", "-f", "csv")
    assert ended.out == (
        '"name","weight","hosts","region","labels","state","api_versions","inventory","fences","store","same_store"\n'
        '"p",100,"http://one","","","enabled","v1,v2","",False,"",""\n'
    )
    assert (await run("partition", "set", "p", "--weight", "7", "-f", "csv", "-c", "weight")).out == '"weight"\n7\n'
    assert (await run("partition", "show", "p", "-f", "value", "-c", "api_versions")).out == "v1,v2\n"
    assert (await run("partition", "list", "-f", "value", "-c", "hosts", "-c", "api_versions")).out == (
        "http://one v1,v2\n"
    )
    assert (await run("partition", "list", "-f", "csv", "-c", "name", "-c", "api_versions")).out == (
        '"name","api_versions"\n"p","v1,v2"\n'
    )
    assert (await run("tenant", "show", "a", "-f", "csv")).out == '"project","spread","pinned","set"\n"a",1,"",False\n'
    assert "- v2\n" in (await run("partition", "show", "p", "-f", "yaml")).out


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "behind it"])
async def test_the_admin_url_stands_anywhere(run, monkeypatch, before):
    asked = []
    make = admin_client.AdminClient.__init__

    def noted(self, url, token, transport):
        asked.append(url)
        make(self, url, token, transport)

    monkeypatch.setattr(admin_client.AdminClient, "__init__", noted)
    monkeypatch.setenv("MARCONI_PROXY_ADMIN_URL", "http://environment")
    given, command = ("--admin-url", "http://given"), ("partition", "list")
    ended = await run(*(given + command if before else command + given))
    assert ended.status == 0, ended.err
    await run(*command)
    assert asked == ["http://given", "http://environment"]


async def test_what_a_check_refuses_ends_with_3(run, api):
    await run(*REGISTER)
    ended = await run(*REGISTER, "--weight", "1")
    assert ended.status == 3
    assert "weight is 100, not 1" in ended.err
    await put_placement(api.catalog, "a", "q", "p")
    ended = await run("partition", "delete", "p")
    assert ended.status == 3
    assert "1 placement" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("partition", "register", "p"),
        ("partition", "register", "p", "--host", "one"),
        ("partition", "register", "p!", "--host", "http://one"),
        ("partition", "register", "p", "--host", "http://one", "--weight", "-1"),
        ("partition", "register", "p", "--host", "http://one", "--api-version", "v9"),
        ("partition", "set", "p"),
        ("partition", "set", "p", "--state", "on"),
        ("partition", "sing"),
        ("tenant", "set", "a"),
        ("tenant", "set", "a", "--spread", "0"),
        ("tenant", "set", "a", "--pin", "nowhere"),
        ("tenant", "set", "a", "--pin", "p", "--no-pin"),
        ("tenant", "show", "id:"),
        ("placement", "list", "--limit", "0"),
        ("placement", "list", "--marker", "x"),
        ("placement", "list", "--admin-url", "localhost:8889"),
        ("--admin-url", "http://one", "config", "sample"),
        ("config", "check", "--config-file", "/nowhere"),
        (),
    ],
)
async def test_wrong_usage_ends_with_2(run, api, arguments):
    await put_partition(api.catalog, "p")
    ended = await run(*arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments", [("partition", "show", "x"), ("partition", "cordon", "x"), ("placement", "show", "a", "q")]
)
async def test_what_is_not_there_ends_with_1(run, arguments):
    ended = await run(*arguments)
    assert (ended.status, ended.out) == (1, "")


@pytest.mark.parametrize("project", ["8f2c", "-", "id:-", "a/b?c#d", "Gr\u00fc\u00dfe", "..", "\udcff", "100%"])
async def test_tenants_of_all_spellings(run, api, project):
    await put_partition(api.catalog, "p")
    shown = {"-": None, "id:-": "-", "\udcff": "\u00ff"}.get(project, project)
    unset = {"project": shown, "spread": 1, "pinned": None, "set": False}
    assert (await run("tenant", "show", project, "-f", "json")).json == unset
    ended = await run("tenant", "set", project, "--spread", "3", "-f", "json")
    assert ended.json == unset | {"spread": 3, "set": True}
    assert "queues created from now on" in ended.err
    assert (await run("tenant", "set", project, "--pin", "p", "-f", "json")).json == {
        "project": shown,
        "spread": 3,
        "pinned": "p",
        "set": True,
    }
    assert (await run("tenant", "set", project, "--no-pin", "-f", "json")).json["pinned"] is None
    assert (await run("tenant", "unset", project)).status == 0
    assert (await run("tenant", "show", project, "-f", "json")).json == unset


async def test_a_placement_is_shown(run, api):
    await put_partition(api.catalog, "p")
    await put_placement(api.catalog, "", "orders", "p")
    ended = await run("placement", "show", "-", "orders", "-f", "json")
    assert ended.status == 0
    assert ended.json["project"] is None
    assert ended.json["queue"] == "orders"
    assert ended.json["epoch"] == 1
    assert ended.json["state"] == "open"
    assert ended.json["segments"] == [{"n": 0, "partition": "p", "physical": "orders", "sealed": False}]
    assert "0:p" in (await run("placement", "show", "-", "orders")).out
    ended = await run("placement", "list", "-f", "value", "-c", "segments")
    assert json.loads(ended.out) == [{"n": 0, "partition": "p", "physical": "orders", "sealed": False}]


async def test_placements_are_listed_across_pages(run, api, monkeypatch):
    monkeypatch.setattr("marconi_proxy.cli.placements.PlacementList.page", 2)
    await put_partition(api.catalog, "p")
    for project, queue in [("", "q"), ("a/b", "q1"), ("a/b", "q2"), ("a/b", "q3"), ("\u00ff", "q")]:
        await put_placement(api.catalog, project, queue, "p")

    async def listed(*arguments):
        ended = await run("placement", "list", *arguments, "-f", "json")
        assert ended.status == 0
        return [(p["project"], p["queue"]) for p in ended.json], ended.err

    everything = [(None, "q"), ("a/b", "q1"), ("a/b", "q2"), ("a/b", "q3"), ("\u00ff", "q")]
    assert await listed("--limit", "2") == (
        everything[:2],
        "There are more: give a larger --limit, or continue with --marker a/b/q1\n",
    )
    assert await listed("--limit", "5") == (everything, "")
    assert await listed("--limit", "9") == (everything, "")
    assert (await listed("--limit", "4"))[1].endswith("--marker a/b/q3\n")
    assert await listed("--marker", "a/b/q3") == (everything[4:], "")
    assert await listed("--project", "a/b", "--limit", "9") == (everything[1:4], "")
    assert await listed("--project", "-", "--partition", "p") == (everything[:1], "")
    assert await listed("--state", "sealing,deleting") == ([], "")


async def test_placements_are_listed_and_counted_by_region_and_state(run, api):
    await api.catalog.partitions.insert(Partition("p", ("http://p:8888",), region="\u00fcber"))
    await put_partition(api.catalog, "q")
    for queue, partition in [("a", "p"), ("b", "p"), ("c", "q")]:
        await put_placement(api.catalog, "project", queue, partition)
    ended = await run("placement", "list", "--region", "\u00fcber", "--state", "open", "-f", "value", "-c", "queue")
    assert (ended.status, ended.out) == (0, "a\nb\n")
    assert (await run("placement", "count", "-f", "json")).json == {"count": 3}
    assert (await run("placement", "count", "--region", "\u00fcber", "-f", "value")).out == "2\n"
    ended = await run("placement", "count", "--region", "nowhere")
    assert ended.status == 2
    assert "region: " in ended.err


async def test_a_wrong_token_names_its_variable(run, monkeypatch):
    make = admin_client.AdminClient.__init__
    monkeypatch.setattr(
        admin_client.AdminClient, "__init__", lambda self, url, token, transport: make(self, url, "wrong", transport)
    )
    ended = await run("partition", "list")
    assert ended.status == 1
    assert "MARCONI_PROXY_ADMIN_TOKEN" in ended.err


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [
        (httpx.ConnectError("refused"), 1, ["http://admin:1", "refused", "--admin-url", "MARCONI_PROXY_ADMIN_URL"]),
        (httpx.ConnectTimeout("slow"), 4, ["http://admin:1", "--admin-url"]),
        (httpx.ReadTimeout("slow"), 4, ["did not answer", "may have been processed"]),
        (httpx.RemoteProtocolError("gone"), 1, ["http://admin:1", "gone"]),
        (httpx.Response(200, text="<html>"), 1, ["is that the admin API?", "--admin-url"]),
        (httpx.Response(404, json=[]), 1, ["answered 404", "is that the admin API?"]),
        (httpx.Response(503, json={"description": "The catalog did not answer."}), 1, ["The catalog did not answer."]),
    ],
)
def test_an_admin_api_that_is_none_or_not_there(failure, status, words, monkeypatch, capsys, quiet_logging):
    def answer(request):
        if isinstance(failure, Exception):
            raise failure
        return failure

    make = admin_client.AdminClient
    monkeypatch.setattr(admin_client, "AdminClient", lambda url, token: make(url, token, httpx.MockTransport(answer)))
    assert main(["partition", "list", "--admin-url", "http://admin:1/"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_debug_shows_where_it_failed(monkeypatch, capsys, quiet_logging):
    assert main(["--debug", "partition", "list", "--admin-url", "nonsense"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_default_admin_url():
    assert verb.DEFAULT_ADMIN_URL == "http://127.0.0.1:8889"


async def test_tenants_are_listed_by_pin_and_spread(run, api):
    await put_partition(api.catalog, "p")
    for tenant in (Tenant("", pinned="p"), Tenant("a", 3), Tenant("b", 3, "p")):
        await api.catalog.tenants.put(tenant)
    ended = await run("tenant", "list", "-f", "json")
    assert ended.json == [
        {"project": None, "spread": 1, "pinned": "p"},
        {"project": "a", "spread": 3, "pinned": None},
        {"project": "b", "spread": 3, "pinned": "p"},
    ]
    ended = await run("tenant", "list", "--pinned", "p", "--limit", "1", "-f", "json")
    assert [tenant["project"] for tenant in ended.json] == [None]
    assert "continue with --marker -" in ended.err
    ended = await run("tenant", "list", "--pinned", "p", "--marker", "-", "-f", "value", "-c", "project")
    assert (ended.out, ended.err) == ("b\n", "")
    assert (await run("tenant", "list", "--spread", "3", "-f", "value", "-c", "project")).out == "a\nb\n"


async def test_a_cordon_names_tenants_that_are_pinned_there_or_pins_them_elsewhere(run, api):
    for name in ("p", "q"):
        await put_partition(api.catalog, name)
    for project in ("", "a", *(f"t{n}" for n in range(12))):
        await api.catalog.tenants.put(Tenant(project, pinned="p"))
    ended = await run("partition", "cordon", "p", "-f", "value", "-c", "state")
    assert (ended.status, ended.out) == (0, "cordoned\n")
    assert "New queues of tenants pinned to p are refused now: -, a, t0, t1, t10, t11, t2, " in ended.err
    assert (
        "t5 and others.\nNext: marconi-proxy partition cordon p --repin TO, or marconi-proxy tenant list" in ended.err
    )
    assert "refused now: -, a" in (await run("partition", "set", "p", "--weight", "0")).err
    ended = await run("partition", "cordon", "p", "--repin", "q")
    assert ended.status == 0
    assert ended.err.startswith("Tenants pinned to q instead of p: 14.\nPartition p is cordoned.\nNext: ")
    assert len(await api.catalog.tenants.find(pinned="q", limit=99)) == 14


async def test_a_partition_that_tenants_are_pinned_to_is_deleted_with_their_pins_changed(run, api):
    for name in ("p", "q"):
        await put_partition(api.catalog, name)
    await api.catalog.tenants.put(Tenant("a", pinned="p"))
    ended = await run("partition", "delete", "p")
    assert ended.status == 3
    assert "tenant a is pinned to it" in ended.err
    ended = await run("partition", "delete", "p", "--repin", "q")
    assert ended.status == 0
    assert ended.err.startswith("Tenants pinned to q instead of p: 1.\nRemoved partition p.")
    assert (await api.catalog.tenants.get("a")).pinned == "q"
