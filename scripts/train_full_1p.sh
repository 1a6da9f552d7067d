#!/bin/bash
# The Ascend port's command: all 150000 steps on one device. bash scripts/train_full_1p.sh --data_path=DIR
. "$(dirname "$0")/train_1p.sh" full 150000 "$@"
