"""One move on its way from ordered to done.

driven_move: record and placement, and each write of them · move_executor: a step of one move · preparation: the
conditions of a seal · seal_round: the round that holds writes · seal_scheduler: when a round begins · older_segments: a
look at them · disposal: the deletion of what a move leaves · move_group: moves that go together · steps: all effects of
a move, for real or without effect · move_feed: the change feed · member_watch: the front-door workers · pace, progress,
certificate: the waits, the progress, and the proof that a move is done.
"""
