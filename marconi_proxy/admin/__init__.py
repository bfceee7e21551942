"""The admin API: what operators and the command line see and change of the catalog, under ``/v1``; and ``/metrics``,
for whatever watches.

``routes`` is the whole of it in one table; one resource module per noun; ``application`` puts it together.
"""
