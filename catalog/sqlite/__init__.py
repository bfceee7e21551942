"""The catalog in one SQLite file: for one machine, several processes, nothing else to run.

``driver`` has the class; ``file`` the lanes on which the nouns' verbs run as transactions, and ``lane`` one of these;
``schema`` makes and judges the file; ``placements``, ``partitions``, ``tenants``, ``members``, ``moves``, ``plans``,
``statistics`` and ``backups`` are the nouns, each implemented where it stands, and ``lock`` the locks; ``changes`` is
the change log and ``feed`` the reading of it; ``translation`` turns what sqlite3 raises into the catalog's errors. Only
here is sqlite3 imported.
"""
