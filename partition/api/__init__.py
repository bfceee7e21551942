"""HTTP: a raw ASGI application over a ``Storage``. Knows the API and no driver.

``routes``    the one table of what is served, for each version
``dialects``  what differs between the versions, as data (API section 7)
``call``      a request after all checks that every route has
``answer``    what goes back, as one value
"""
