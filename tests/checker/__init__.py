"""The checker: what clients did, and whether a queue that keeps its promises can have answered them so.

record: the history, in words of the API and nothing else, so that it can be taken of a simulation as of real processes.
judge: the promises, each a pure function of the history. model: histories of a correct queue, and single mutations of
them, by which the judge itself is tested.
"""
