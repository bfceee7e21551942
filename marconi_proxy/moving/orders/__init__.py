"""What an operator may order.

ordering: may this queue be moved there · turning: where a move leads that goes back, or on · groups: which queues must
share a partition.
"""
