"""The catalog in one SQLite file: for the processes of one machine, without a server.

``driver`` has the class. ``file`` has the threads on which the nouns' verbs run as transactions, and
``connection_thread`` one of them. ``schema`` creates, upgrades and checks the file. ``placements``, ``partitions``,
``tenants``, ``members``, ``moves``, ``plans``, ``statistics`` and ``backups`` implement one noun each, and ``lock`` the
locks. ``changes`` is the change log, and ``feed`` reads it. ``translation`` maps the exceptions of sqlite3 to the
catalog's errors. Only this package imports sqlite3.
"""
