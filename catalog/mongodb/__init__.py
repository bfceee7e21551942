"""The catalog in MongoDB (a replica set, or a sharded cluster): the store for production.

``driver`` has the class; ``store`` holds the client and the rules every conversation keeps (deadline, session,
translation of errors); ``documents`` says how values are spelled; ``schema``, ``placements``, ``partitions``,
``tenants``, ``members``, ``moves`` and ``plans`` are the collections; ``snapshot`` and ``loading`` are backups;
``feed`` is the change stream. Only here is pymongo imported.
"""
