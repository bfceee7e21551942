"""The catalog in MongoDB (a replica set, or a sharded cluster): the store for production.

``driver`` has the class; ``store`` holds the client and the rules every conversation keeps (deadline, session,
translation of errors); ``documents`` says how values are spelled; ``placements``, ``partitions``, ``tenants``,
``members``, ``moves``, ``plans``, ``statistics`` and ``backups`` are the nouns, each implemented where it stands, and
``lock`` the locks; ``schema`` has the indexes, ``mark`` is that of a catalog that is being loaded; ``feed`` is the
change stream. Only here is pymongo imported.
"""
