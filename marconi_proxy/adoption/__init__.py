"""Adoption: placements for queues that existed on partitions before the catalog.

``survey`` reads partitions and catalog; ``draft`` decides, and is pure; ``plan_file`` stores the decisions for an
operator to read and edit; ``adopter`` applies them. Adoption never changes a partition.
"""
