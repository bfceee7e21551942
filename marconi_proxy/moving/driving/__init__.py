"""One move on its way from ordered to done.

drive: a step of one move · preparing: what must be so before its queue is sealed · sealing: the round that holds writes
· rounds: when one begins · convoy: moves that go together · steps: all that a move does to the world, for real or
without effect · following: the change feed · pace, progress, certificate: how patient, how far it is, and the proof
that it is done.
"""
