"""Adoption: placements for queues that existed on partitions before the catalog.

``survey`` reads partitions and catalog; ``draft`` decides, and is pure; ``plan_file`` stores the decisions for an
operator to read and edit; ``adopter`` applies them, by ``single_adopter`` for queues on one partition and by
``chain_adopter`` for those on several. Adoption never changes a partition.
"""
