"""The catalog in MongoDB (a replica set, or a sharded cluster): the store for production.

``driver`` has the class. ``store`` has the client and the rules of every conversation (deadline, session, translation
of errors). ``documents`` maps values to documents. ``placements``, ``partitions``, ``tenants``, ``members``, ``moves``,
``plans``, ``statistics`` and ``backups`` implement one noun each, and ``lock`` the locks. ``schema`` has the indexes,
``mark`` the mark of a catalog that is being loaded, ``feed`` the change stream. Only this package imports pymongo.
"""
