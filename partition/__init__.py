"""A small, durable queue server that speaks the Marconi/Zaqar API v1, v1.1 and v2.

``model``       values: queues, messages, claims, subscriptions, limits, identifiers. No I/O, no clock, no options.
``validation``  from untrusted bytes to those values, or to the refusal that the API prescribes. Pure.
``storage``     one interface, and the drivers behind it. Semantics of API section 6 live here.
``api``         HTTP: routes, the three dialects, answers. Knows no driver.
``serving``     processes, sockets, options, command line.

It stands alone: it imports neither ``marconi_proxy`` nor ``catalog``.
"""
