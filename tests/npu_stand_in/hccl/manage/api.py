"""Ranks, as CANN's HCCL tells them."""

import os


def get_rank_id(group="hccl_world_group"):
    return int(os.environ["RANK_ID"])


def get_rank_size(group="hccl_world_group"):
    return int(os.environ["RANK_SIZE"])


def get_local_rank_id(group="hccl_world_group"):
    return get_rank_id(group)


def get_local_rank_size(group="hccl_world_group"):
    return get_rank_size(group)
