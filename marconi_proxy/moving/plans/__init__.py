"""Moves of many queues by one order, decided before the first begins.

planner: the queues to move, each with its destination · budgets: the limits of a plan's pace · names: ids of plans and
moves · survey: reads of the catalog for the planner · preconditions: changes since the decision · progress: the moves
begun and their outcomes · executor: the task that begins moves of running plans.
"""
