"""HTTP: a raw ASGI application over a ``Storage``. Knows the API and no driver.

``routes``    the one table of all routes, for each version
``dialects``  the differences between the versions, as data (API section 7)
``call``      a request after all checks that every route has
``answer``    the answer to the client, as one value
"""
