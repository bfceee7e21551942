"""The embedded driver: one SQLite file in WAL mode, shared by the worker processes of one machine.

All writing of a process happens on one thread, which batches waiting jobs into one transaction (group commit): many
posts cost one ``fsync``, and each is acknowledged after it. Posts, claims and single deletions of a transaction also
share their statements, and each keeps its own outcome. Only this package imports sqlite3.
"""
