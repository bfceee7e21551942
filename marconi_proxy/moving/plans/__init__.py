"""Plans in the catalog: read for one, checked before they are applied, carried out.

names: ids of plans and moves · survey: reading what planning needs · preconditions: what has changed since ·
progress: what was begun and how it ended · executor: the task that begins moves of running plans.
"""
