"""A whole system under traffic, with moves and kill -9: what test_soak runs and what bench.moves measures.

dialect: the three versions of the API, as clients speak them. clients: producers, consumers and subscribers, who go on
through every failure and write down what they saw, in the checker's words. director: moves, back and forth. system: the
processes, and how each of them is killed. stage: all of it for some time. traffic: clients from their beginning to
what is left at the end. report: what came of it.
"""
