#!/bin/bash
# The Ascend port's command: 1000 steps on one device, and how fast they were. bash scripts/train_performance_1p.sh --data_path=DIR
. "$(dirname "$0")/train_1p.sh" perf 1000 "$@"
