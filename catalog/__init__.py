"""The catalog: the partition of each queue, and all other state that the proxy persists.

``model`` has the values, ``interface`` the verbs, ``errors`` the exceptions; each store has a sub-package. This package
is independent of HTTP and of the proxy, and the layers above are independent of the stores.
"""

from catalog.factory import open_catalog
from catalog.interface import Catalog

__all__ = ["Catalog", "open_catalog"]
