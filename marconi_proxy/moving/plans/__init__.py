"""Moves of many queues by one order, decided before anything is done.

planning: which queue goes where · budgets: how gently · names: ids of plans and moves · survey: reading what planning
needs · preconditions: what has changed since · progress: what was begun and how it ended · executor: the task that
begins moves of running plans.
"""
