"""An HTTP/1.1 server of our own, for an ASGI application under gunicorn: it knows neither front door nor partition.

request_parser, response_framing: the protocol without sockets · head_recogniser: usual heads, in one pass · deadlines:
timeouts of many connections · connection: one client connection, an asyncio protocol · buffered_request, asgi: the two
ways of a request to the application · limits, server: what the connections of a worker share · worker: gunicorn's
worker, with its start, drain and end.
"""

# The name of the worker's class for gunicorn, which imports it in the worker.
WORKER_CLASS = "serving.worker.ServingWorker"
