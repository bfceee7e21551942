from __future__ import annotations

import pytest

from marconi_proxy.option_types import redacted


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////var/lib/c.db", "sqlite:////var/lib/c.db"),
        ("mongodb://h1:1,h2:2/db?replicaSet=rs&appname=x", "mongodb://h1:1,h2:2/db?replicaSet=rs"),
        ("mongodb://user:pass@h1,h2/db?tlsCertificateKeyFilePassword=x", "mongodb://***@h1,h2/db"),
        ("mongodb://user:p@ss@host/db", "mongodb://***@host/db"),
    ],
)
def test_nothing_secret_of_a_catalog_uri_is_shown(uri, shown):
    assert redacted(uri) == shown
