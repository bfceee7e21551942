"""What an operator may order. ordering: may this queue be moved there · groups: which queues must share a partition."""
