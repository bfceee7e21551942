from __future__ import annotations

from pathlib import Path

import pytest

from marconi_proxy import options
from marconi_proxy.cli.config import sample
from marconi_proxy.option_types import Address

CATALOG = {"catalog.uri": "sqlite:////tmp/catalog.db"}
SAMPLE = Path(__file__).parents[3] / "etc" / "marconi-proxy.conf.sample"


def refusal(config_file: str | None = None, **overrides: object) -> str:
    with pytest.raises(options.OptionError) as caught:
        options.load(config_file, CATALOG | {name.replace("__", "."): value for name, value in overrides.items()})
    return str(caught.value)


@pytest.fixture
def config_file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "marconi-proxy.conf"
        path.write_text(text)
        return str(path)

    return write


def test_defaults():
    conf = options.load(overrides=CATALOG)
    assert conf.public.bind == Address("127.0.0.1", 8888)
    assert conf.admin.bind == Address("127.0.0.1", 8889)
    assert (conf.listing.default_page, conf.listing.max_page) == (10, 20)
    assert conf.upstream.deadline == 60.0
    assert conf.admin.token is None


def test_two_loads_share_nothing():
    first = options.load(overrides=CATALOG | {"public.workers": 7})
    assert options.load(overrides=CATALOG).public.workers == 2
    assert first.public.workers == 7


def test_overrides_win_over_the_environment_and_that_over_the_file(config_file, monkeypatch):
    path = config_file("[catalog]\nuri = sqlite:////from/file\n[public]\nworkers = 3\nkeepalive = 3\nmax_body = 3333\n")
    monkeypatch.setenv("OS_PUBLIC__WORKERS", "4")
    monkeypatch.setenv("OS_PUBLIC__KEEPALIVE", "4")
    conf = options.load(path, {"public.workers": "5", "public.bind": None})
    assert (conf.public.workers, conf.public.keepalive, conf.public.max_body) == (5, 4, 3333)
    assert conf.catalog.uri == "sqlite:////from/file"


@pytest.mark.parametrize("text", ["HOST:8888", "[::1]:0", "0.0.0.0:80"])
def test_addresses_are_written_as_they_are_read(text):
    assert str(options.load(overrides=CATALOG | {"public.bind": text}).public.bind) == text


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("proxy.example.org", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host, loopback):
    assert Address(host, 1).loopback is loopback


@pytest.mark.parametrize("bind", ["8888", "host", ":1", "h:", "h:x", "h:65536", "::1:80", "h:-1", "h:\u0663"])
def test_an_address_that_is_none_names_its_option(bind):
    assert refusal(public__bind=bind).startswith("[public] bind: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public.workers", 0),
        ("public.workers", "two"),
        ("upstream.deadline", "soon"),
        ("upstream.eject_after", 0),
        ("directory.takeover_after", 1),
        ("auth.strategy", "keystone"),
        ("log.level", "loud"),
        ("catalog.uri", "x"),
        ("public.trust_forwarded_for", "perhaps"),
        ("listing.default_page", 21),
        ("directory.member_interval", 20),
        ("admin.token", ""),
        ("admin.token", "grün"),
    ],
)
def test_an_impossible_value_names_its_option(name, value):
    group, option = name.split(".")
    assert refusal(**{f"{group}__{option}": value}).startswith(f"[{group}] {option}: ")


def test_the_largest_body_fits_the_room_for_bodies():
    room = {"public__max_body": 2_000_000}
    assert refusal(**room, public__max_bodies=1_999_999) == (
        "[public] max_bodies: is less than max_body, so the largest bodies never fit"
    )
    enough = CATALOG | {"public.max_body": 2_000_000, "public.max_bodies": 2_000_000}
    assert options.load(overrides=enough).public.max_bodies == 2_000_000


def test_a_deletion_is_not_taken_over_before_its_worker_may_not_go_on_with_it():
    assert refusal(directory__lease=31) == "[directory] takeover_after: is shorter than [directory] lease"
    both = CATALOG | {"directory.lease": 31, "directory.takeover_after": 31}
    assert options.load(overrides=both).directory.takeover_after == 31.0


def test_an_impossible_value_in_a_file_names_its_option(config_file):
    assert refusal(config_file("[public]\nworkers = many\n")).startswith("[public] workers: ")


def test_an_impossible_value_in_the_environment_names_its_variable(monkeypatch):
    monkeypatch.setenv("OS_PUBLIC__WORKERS", "0")
    assert refusal().startswith("[public] workers (environment variable OS_PUBLIC__WORKERS): ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[public]\nworker = 1\n", "there is no option worker in [public]; did you mean workers?"),
        ("[pubic]\nworkers = 1\n", "there is no group [pubic]; did you mean public?"),
        ("[pubic]\n", "there is no group [pubic]; did you mean public?"),
        ("[DEFAULT]\ndebug = true\n", "there is no group [DEFAULT]"),
        ("[public]\nsecret nonsense\n", "line 2: neither [group], option = value nor # comment"),
        ("workers = 1\n", "line 1: neither [group], option = value nor # comment"),
    ],
)
def test_what_a_file_must_not_have_names_itself(config_file, text, message):
    path = config_file(text)
    refused = refusal(path)
    assert path in refused
    assert refused.endswith(message)


def test_a_file_that_is_not_there_names_itself(tmp_path):
    assert "nowhere.conf" in refusal(str(tmp_path / "nowhere.conf"))


def test_an_unknown_variable_of_a_known_group_names_itself(monkeypatch):
    monkeypatch.setenv("OS_PUBLIC__WORKER", "1")
    assert refusal() == "environment variable OS_PUBLIC__WORKER names no option; did you mean OS_PUBLIC__WORKERS?"


def test_variables_of_other_programs_are_none_of_our_business(monkeypatch):
    monkeypatch.setenv("OS_AUTH_URL", "http://keystone")
    monkeypatch.setenv("OS_OTHER__OPTION", "1")
    options.load(overrides=CATALOG)


def test_a_renamed_option_keeps_its_old_name(config_file, monkeypatch):
    assert options.load(config_file("[directory]\nmember_expiry = 10\n"), CATALOG).directory.lease == 10.0
    monkeypatch.setenv("OS_DIRECTORY__MEMBER_EXPIRY", "15")
    assert options.load(overrides=CATALOG).directory.lease == 15.0
    monkeypatch.setenv("OS_DIRECTORY__LEASE", "20")
    assert options.load(overrides=CATALOG).directory.lease == 20.0


def test_an_override_of_no_option_names_itself():
    assert "workerz" in refusal(public__workerz=1)


def test_a_catalog_must_be_given():
    with pytest.raises(options.OptionError, match=r"^\[catalog\] uri: is not set"):
        options.load()


@pytest.mark.parametrize("uri", ["mongodb://user:password@[host/db", "https://user:password@host/db"])
def test_a_wrong_catalog_uri_is_never_quoted(uri, monkeypatch):
    assert "word" not in refusal(catalog__uri=uri)
    monkeypatch.setenv("OS_CATALOG__URI", uri)
    with pytest.raises(options.OptionError) as caught:
        options.load()
    assert "word" not in str(caught.value)


def test_a_dollar_is_taken_as_it_is_in_overrides_and_doubled_in_files(config_file):
    uri = "mongodb://user:pa$word@host/db"
    assert options.load(overrides={"catalog.uri": uri}).catalog.uri == uri
    doubled = config_file(f"[catalog]\nuri = {uri.replace('$', '$$')}\n")
    assert options.load(doubled).catalog.uri == uri
    with pytest.raises(options.OptionError) as caught:
        options.load(config_file(f"[catalog]\nuri = {uri}\n"))
    assert str(caught.value) == "[catalog] uri: a $ in a value is written $$"


def test_every_option_says_at_some_length_what_it_does():
    for group, opts in options.list_opts():
        for opt in opts:
            assert len(opt.help or "") > 80, f"[{group}] {opt.name}"


def test_the_sample_configuration_can_be_used(tmp_path):
    path = tmp_path / "sample.conf"
    path.write_text("\n".join(line.removeprefix("#") if " = " in line else line for line in sample().splitlines()))
    text = path.read_text().replace("token = <None>", "")
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith(" ")))
    assert options.load(str(path)).catalog.uri == "sqlite:////var/lib/marconi-proxy/catalog.db"
