"""The query of a listing, and the link to its next page, as real servers write it (API sections 1.6, 2.1, 4.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.model import API_VERSIONS
from marconi_proxy.routing.listing_query import ListingQuery, RepeatedFilter, Unfit, admits, parse_listing
from marconi_proxy.routing.route import RouteKind

INVALID = Unfit.INVALID
PLAIN = ListingQuery("", 10, detailed=False, counted=False, given=())


def parsed(
    query: str | bytes, version: str = "v2", kind: RouteKind = RouteKind.QUEUES
) -> ListingQuery | RepeatedFilter | Unfit:
    raw = query.encode() if isinstance(query, str) else query
    return parse_listing(kind, version, raw, default_page=10, max_page=20)


def fit(query: str | bytes, version: str = "v2", kind: RouteKind = RouteKind.QUEUES) -> ListingQuery:
    found = parsed(query, version, kind)
    assert isinstance(found, ListingQuery)
    return found


# -- limit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("", 10),
        ("limit=", 10),
        ("limit", 10),
        ("limit=,", 10),
        ("&&", 10),
        ("limit=1", 1),
        ("limit=20", 20),
        ("&&limit=1&", 1),
        ("limit=%31", 1),
        ("%6cimit=2", 2),
        ("limit=+3", 3),
        ("limit=%2B3", 3),
        ("limit=3%20", 3),
        ("limit=007", 7),
        ("limit=1&limit=2", 2),
        ("limit=1,2", 2),
        ("limit=2,", 2),
        ("limit=0", INVALID),
        ("limit=21", INVALID),
        ("limit=-1", INVALID),
        ("limit=x", INVALID),
        ("limit=1.5", INVALID),
        ("limit=1e1", INVALID),
        ("limit=0x5", INVALID),
        ("limit=1%2C2", INVALID),
        ("limit=1;detailed=true", INVALID),
        ("limit=99999999999999999999", INVALID),
        ("limit=" + "9" * 5000, INVALID),
        ("limit=20&limit=x", INVALID),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("version", API_VERSIONS)
def test_limit(version: str, query: str, limit: int | Unfit) -> None:
    found = parsed(query, version)
    assert (found.limit if isinstance(found, ListingQuery) else found) == limit


def test_the_bounds_of_a_page_are_options() -> None:
    narrow = parse_listing(RouteKind.QUEUES, "v2", b"", default_page=3, max_page=5)
    assert isinstance(narrow, ListingQuery)
    assert narrow.limit == 3
    assert parse_listing(RouteKind.QUEUES, "v2", b"limit=6", default_page=3, max_page=5) is INVALID


# -- marker ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "after"),
    [
        ("", ""),
        ("marker=", ""),
        ("marker=alpha", "alpha"),
        ("marker=a%26b", "a&b"),
        ("marker=%C3%A9", "\u00e9"),
        ("marker=a+b", "a b"),
        ("marker=a=b", "a=b"),
        ("marker=a&marker=b", "b"),
        ("marker=a&marker=", "a"),
        ("marker=a,b", "b"),
        ("marker=a%2Cb", "a,b"),
        ("marker=%FF", "\ufffd"),
        ("MARKER=a", ""),
    ],
)
@pytest.mark.parametrize("version", ["v1", "v1.1"])
def test_marker(version: str, query: str, after: str) -> None:
    assert fit(query, version).after == after


# -- booleans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "True", "yes", "t", "y", "1", "on"])
@pytest.mark.parametrize("version", API_VERSIONS)
def test_detailed(version: str, value: str) -> None:
    found = fit(f"detailed={value}", version)
    assert found.detailed
    assert found.given == (("detailed", "true"),)


@pytest.mark.parametrize("value", ["false", "False", "no", "f", "n", "0", "off"])
@pytest.mark.parametrize("version", API_VERSIONS)
def test_not_detailed(version: str, value: str) -> None:
    found = fit(f"detailed={value}", version)
    assert not found.detailed
    assert found.given == (("detailed", "false"),)


@pytest.mark.parametrize("value", ["TRUE", "FALSE", "maybe", "2", "%20true", "None"])
@pytest.mark.parametrize("version", API_VERSIONS)
def test_what_is_no_boolean(version: str, value: str) -> None:
    assert parsed(f"detailed={value}", version) is INVALID


@pytest.mark.parametrize("query", ["detailed=", "detailed", "detailed=,"])
def test_an_empty_boolean_is_absent(query: str) -> None:
    assert fit(query) == PLAIN


# -- what only v2 knows ------------------------------------------------------------------------------------------------

FILTERS = ["name=a", "name=%5B", "foo=bar", "LIMIT=1", "colour=red&n=2", "Marker=a", "%66oo=bar", "=x"]


@pytest.mark.parametrize("query", [*FILTERS, "with_count=true", "with_count=x"])
@pytest.mark.parametrize("version", ["v1", "v1.1"])
def test_early_versions_ignore_what_they_do_not_know(version: str, query: str) -> None:
    found = fit(f"{query}&limit=1", version)
    assert found == PLAIN._replace(limit=1, given=(("limit", "1"),))


@pytest.mark.parametrize(
    ("query", "name"),
    [("name=a", "a"), ("name=%5B", "["), ("name=a&name=b", "b"), ("name=a,b", "b"), ("name=a%2Cb", "a,b")],
)
@pytest.mark.parametrize("kind", [RouteKind.QUEUES, RouteKind.TOPICS])
def test_a_part_of_a_name(kind: RouteKind, query: str, name: str) -> None:
    assert fit(query, "v2", kind) == PLAIN._replace(name=name, given=(("name", name),))


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("foo=bar", [("foo", "bar")]),
        ("LIMIT=1&Marker=a", [("LIMIT", 1), ("Marker", "a")]),
        ("n=%33&colour=bl%75e", [("n", 3), ("colour", "blue")]),
        ("n=-3&m=+3&k=%2B3", [("n", -3), ("m", 3), ("k", 3)]),
        ("n=3.0&m=1e3&k=0x5", [("n", "3.0"), ("m", "1e3"), ("k", "0x5")]),
        ("n=007&m=%203", [("n", 7), ("m", 3)]),
        ("n=" + "9" * 30, [("n", int("9" * 30))]),
        ("n=" + "9" * 5000, [("n", "9" * 5000)]),
        ("b=true&c=null", [("b", "true"), ("c", "null")]),
        ("colour=red%2Cblue", [("colour", "red,blue")]),
        ("colour=&colour=red&colour", [("colour", "red")]),
        ("_default_message_ttl=60", [("_default_message_ttl", 60)]),
        ("%66oo=%C3%A9", [("foo", "\u00e9")]),
        ("=x", [("", "x")]),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("kind", [RouteKind.QUEUES, RouteKind.TOPICS])
def test_filters_by_metadata(kind: RouteKind, query: str, filters: list[tuple[str, int | str]]) -> None:
    # The next link does not repeat them.
    assert fit(query, "v2", kind) == PLAIN._replace(filters=tuple(filters))


@pytest.mark.parametrize("query", ["foo=a&foo=b", "foo=a,b", "foo=a&limit=1&%66oo=a", "limit=0&foo=1&foo=1"])
@pytest.mark.parametrize("kind", [RouteKind.QUEUES, RouteKind.TOPICS])
def test_a_repeated_filter_is_named(kind: RouteKind, query: str) -> None:
    assert parsed(query, "v2", kind) == RepeatedFilter("foo")


@pytest.mark.parametrize("query", ["name=", "colour=", "foo", "with_count=", "="])
def test_an_empty_filter_is_absent(query: str) -> None:
    assert parsed(query) == PLAIN


def test_the_count_of_queues() -> None:
    assert fit("with_count=yes") == PLAIN._replace(counted=True, given=(("with_count", "true"),))
    assert fit("with_count=false") == PLAIN._replace(given=(("with_count", "false"),))
    assert parsed("with_count=x") is INVALID


@pytest.mark.parametrize("value", ["true", "false", "x"])
def test_to_topics_a_count_is_a_filter_like_any_other(value: str) -> None:
    assert fit(f"with_count={value}", kind=RouteKind.TOPICS) == PLAIN._replace(filters=(("with_count", value),))


def test_what_is_invalid_is_so_whatever_else_is_asked() -> None:
    assert parsed("limit=0&name=a&colour=red") is INVALID
    assert parsed("name=a&detailed=maybe") is INVALID


# -- what metadata passes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [3, -3, "3", 3.0, True, None, [3], {"n": 3}])
def test_a_filter_takes_its_value_and_nothing_like_it(stored: object) -> None:
    assert admits((("n", 3),), {"n": stored, "m": 3}) is (type(stored) is int and stored == 3)
    assert admits((("n", "3"),), {"n": stored}) is (stored == "3")


def test_every_filter_must_be_passed() -> None:
    metadata = {"colour": "red", "n": 1, "deep": {"colour": "red"}, "true": True, "false": False}
    assert admits((), metadata)
    assert admits((), {})
    assert admits((("colour", "red"), ("n", 1)), metadata)
    assert not admits((("colour", "red"), ("n", 2)), metadata)
    for one in (("colour", "re"), ("deep.colour", "red"), ("true", 1), ("false", 0), ("missing", "None"), ("", "red")):
        assert not admits((one,), metadata)


# -- the next link -----------------------------------------------------------------------------------------------------

# (version, query, last name of the page, next link), all of them seen from real servers.
LINKS = [
    ("v1", "", "gamma", "?marker=gamma"),
    ("v1", "limit=2", "_under", "?limit=2&marker=_under"),
    ("v1", "limit=2&detailed=true", "_under", "?limit=2&detailed=true&marker=_under"),
    ("v1", "detailed=1&limit=1", "Zed", "?limit=1&detailed=true&marker=Zed"),
    ("v1", "detailed=yes&limit=1", "Zed", "?limit=1&detailed=true&marker=Zed"),
    ("v1", "detailed=false&limit=1", "Zed", "?limit=1&detailed=false&marker=Zed"),
    ("v1", "marker=alpha", "gamma", "?marker=gamma"),
    ("v1", "marker=alpha&limit=1", "beta", "?marker=beta&limit=1"),
    ("v1", "limit=20&marker=alpha", "gamma", "?marker=gamma&limit=20"),
    ("v1", "marker=&limit=1", "Zed", "?limit=1&marker=Zed"),
    ("v1", "limit=%31", "Zed", "?limit=1&marker=Zed"),
    ("v1", "limit=+3", "a.dot", "?limit=3&marker=a.dot"),
    ("v1", "limit=1&limit=2", "_under", "?limit=2&marker=_under"),
    ("v1", "limit=1,2", "_under", "?limit=2&marker=_under"),
    ("v1", "marker=a%26b&limit=1", "a.dot", "?marker=a.dot&limit=1"),
    ("v1", "name=a&limit=1", "Zed", "?limit=1&marker=Zed"),
    ("v1", "with_count=true&limit=1", "Zed", "?limit=1&marker=Zed"),
    ("v1", "foo=bar&limit=1", "Zed", "?limit=1&marker=Zed"),
    (
        "v1",
        "name=a&detailed=true&with_count=true&limit=1&marker=A",
        "Zed",
        "?marker=Zed&limit=1&detailed=true",
    ),
    ("v1.1", "detailed=True", "gamma", "?detailed=true&marker=gamma"),
    (
        "v1.1",
        "name=a&detailed=true&with_count=true&limit=1&marker=A",
        "Zed",
        "?marker=Zed&limit=1&detailed=true",
    ),
    ("v2", "with_count=true&limit=1", "Zed", "?limit=1&with_count=true&marker=Zed"),
    ("v2", "with_count=false&limit=1", "Zed", "?limit=1&with_count=false&marker=Zed"),
    ("v2", "marker=a&detailed=1", "b", "?marker=b&detailed=true"),
    ("v2", "with_count=0&detailed=0&limit=4", "b", "?limit=4&detailed=false&with_count=false&marker=b"),
    (
        "v2",
        "name=lph&limit=1&detailed=true&with_count=true",
        "alpha",
        "?limit=1&detailed=true&name=lph&with_count=true&marker=alpha",
    ),
    ("v2", "name=al%70ha&name=bet&limit=1", "beta", "?limit=1&name=bet&marker=beta"),
    ("v2", "colour=red&limit=1&detailed=true", "alpha", "?limit=1&detailed=true&marker=alpha"),
    ("v2", "marker=alpha&colour=red&name=a", "beta", "?marker=beta&name=a"),
]


@pytest.mark.parametrize(("version", "query", "last", "link"), LINKS, ids=[f"{row[0]}?{row[1]}" for row in LINKS])
def test_the_next_link(version: str, query: str, last: str, link: str) -> None:
    assert fit(query, version).next_link(f"/{version}/queues", last) == f"/{version}/queues{link}"


def test_the_next_link_of_topics() -> None:
    assert fit("limit=1", kind=RouteKind.TOPICS).next_link("/v2/topics", "a") == "/v2/topics?limit=1&marker=a"


@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_next_link_leads_to_the_next_page(version: str) -> None:
    first = fit("limit=5&detailed=on", version)
    _, _, query = first.next_link(f"/{version}/queues", "a.b-c_D").partition("?")
    second = fit(query, version)
    assert (second.after, second.limit, second.detailed) == ("a.b-c_D", 5, True)
    # From then on only the marker changes.
    assert second.next_link("", "z") == second.next_link("", "a").replace("marker=a", "marker=z")


@given(st.binary(max_size=60), st.sampled_from(API_VERSIONS), st.sampled_from([RouteKind.QUEUES, RouteKind.TOPICS]))
def test_any_query_is_judged(query: bytes, version: str, kind: RouteKind) -> None:
    found = parsed(query, version, kind)
    if isinstance(found, ListingQuery):
        assert 1 <= found.limit <= 20
        found.next_link("/v2/queues", "last").encode("ascii")


@given(
    st.lists(
        st.builds(
            "{}={}".format,
            st.sampled_from(["limit", "marker", "detailed", "with_count", "name", "x", "%6cimit"]),
            st.sampled_from(["", "1", "20", "21", "true", "0", "a,b", "%", "\u00e9", "+5", "a%2Cb"]),
        ),
        max_size=6,
    ).map("&".join),
    st.sampled_from(API_VERSIONS),
)
def test_a_link_of_ours_is_always_taken_back(query: str, version: str) -> None:
    found = parsed(query, version)
    if isinstance(found, ListingQuery):
        following = fit(found.next_link("", "last")[1:], version)
        assert following == found._replace(after="last", given=following.given, filters=())
