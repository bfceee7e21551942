"""From options to processes that answer: the listener, gunicorn's master, its workers and their HTTP protocol.

``server`` is what the command line calls. Nothing here knows what is served: applications come from a factory.
"""
