"""The catalog in one SQLite file: for one machine, several processes, nothing else to run.

``driver`` has the class; ``lane`` runs transactions; ``schema`` makes and judges the file; ``placements`` and their
``listing``, ``partitions``, ``tenants``, ``members``, ``moves``, ``plans`` and ``loading`` are the transactions, and
``snapshot`` is a long one; ``changes`` is the change log and ``feed`` the reading of it; ``translation`` turns what
sqlite3 raises into the catalog's errors. Only here is sqlite3 imported.
"""
