"""A whole system under traffic, with moves and kill -9: test_soak runs it, and bench.moves measures it.

dialect: the three versions of the API, as clients speak them. clients: producers, consumers and subscribers, which go
on through every failure and record what they see in the checker's terms. director: moves, back and forth. system: the
processes, and how each of them is killed. stage: all of it for some time. traffic: clients, from their start to the end
of the drain. report: the verdict.
"""
