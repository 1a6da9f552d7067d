#!/usr/bin/env bash
# The whole training on one device: 150000 steps of Pouring as published, as the Ascend port's script of this name.
#   bash scripts/train_full_1p.sh --data_path=DIR                 --help tells all; docs/ascend_port.md too
exec bash "$(dirname "${BASH_SOURCE[0]}")/train_1p.sh" acc 150000 "$@"
