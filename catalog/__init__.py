"""The catalog: which partition holds which queue, and everything else the proxy must remember.

``model`` has the values, ``interface`` the verbs, ``errors`` what can go wrong; one sub-package per store. This package
knows nothing of HTTP or of the proxy, and everything above it knows nothing of the stores.
"""

from catalog.factory import open_catalog
from catalog.interface import Catalog

__all__ = ["Catalog", "open_catalog"]
