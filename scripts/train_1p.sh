#!/usr/bin/env bash
# What train_performance_1p.sh and train_full_1p.sh share: arguments, the training, and the files that the port leaves.
#   bash train_1p.sh perf|acc STEPS [--key=value ...]
set -euo pipefail

case_suffix=$1 max_steps=$2
shift 2
Network="TCC_ID0714_for_TensorFlow2.X"
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

export RANK_SIZE=1 RANK_ID=0 JOB_ID=${JOB_ID:-10087}
export ASCEND_GLOBAL_LOG_LEVEL=${ASCEND_GLOBAL_LOG_LEVEL:-1}
export ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-0}
python=${PYTHON:-python3}

data_path="" batch_size=2 resume=False
precision_mode=allow_fp32_to_fp16
over_dump=False over_dump_path=""
data_dump_flag=False data_dump_step=10 data_dump_path=""
profiling=False profiling_dump_path=""
autotune=False

usage() {
    cat <<'TEXT'
usage: bash scripts/train_performance_1p.sh --data_path=DIR [--key=value ...]     1000 steps
       bash scripts/train_full_1p.sh        --data_path=DIR [--key=value ...]   150000 steps
 --data_path=DIR            holds tmp/pouring_tfrecords/ and tmp/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5
 --max_steps=N              another number of steps
 --batch_size=N             clips a step (2)
 --resume                   go on with the training that the output folder holds, instead of putting it aside
 --precision_mode=MODE      allow_fp32_to_fp16 (default), force_fp16, must_keep_origin_dtype, allow_mix_precision, ...
 --over_dump=True|False     dump operators that overflow, into --over_dump_path=DIR (output/overflow_dump)
 --data_dump_flag=True|False  dump operators' data of the steps --data_dump_step=STEPS (10), into --data_dump_path=DIR
                            (output/data_dump)
 --profiling=True|False     record a profile, into --profiling_dump_path=DIR (output/profiling)
 --autotune=False           True is refused: the plugin has no such tuning any more
 --ci_cp=0|1                accepted; the data is only read here, so that no copy is needed
 --help, -h                 this text
Environment: ASCEND_DEVICE_ID (0), PYTHON (python3).
TEXT
}

refuse() {
    printf '[Error] %s\n' "$1" >&2
    exit 1
}

for argument in "$@"; do
    value=${argument#*=}
    case $argument in
        --data_path=*) data_path=$value ;;
        --max_steps=*) max_steps=$value ;;
        --batch_size=*) batch_size=$value ;;
        --resume) resume=True ;;
        --precision_mode=*) precision_mode=$value ;;
        --over_dump=*) over_dump=$value ;;
        --over_dump) over_dump=True ;;
        --over_dump_path=*) over_dump_path=$value ;;
        --data_dump_flag=*) data_dump_flag=$value ;;
        --data_dump_flag) data_dump_flag=True ;;
        --data_dump_step=*) data_dump_step=$value ;;
        --data_dump_path=*) data_dump_path=$value ;;
        --profiling=*) profiling=$value ;;
        --profiling) profiling=True ;;
        --profiling_dump_path=*) profiling_dump_path=$value ;;
        --autotune=*) autotune=$value ;;
        --autotune) autotune=True ;;
        --ci_cp=[01]) ;;
        --help | -h)
            usage
            exit 1
            ;;
        *) refuse "unknown argument $argument; --help tells all" ;;
    esac
done
[ -n "$data_path" ] || refuse 'para "data_path" must be confing: give --data_path=DIR'
[[ $max_steps =~ ^[1-9][0-9]*$ ]] || refuse "--max_steps: must be a number above 0, got $max_steps"
[[ $batch_size =~ ^[1-9][0-9]*$ ]] || refuse "--batch_size: must be a number above 0, got $batch_size"
[[ $ASCEND_DEVICE_ID =~ ^[0-9]+$ ]] || refuse "ASCEND_DEVICE_ID: must be a number, got $ASCEND_DEVICE_ID"

root=$PWD/output
output=$root/$ASCEND_DEVICE_ID
CaseName="${Network}_bs${batch_size}_${RANK_SIZE}p_${case_suffix}"
log=$output/train_$ASCEND_DEVICE_ID.log

# An earlier output is put aside, never deleted.
if [ "$resume" = False ] && [ -e "$output" ]; then
    number=1
    while [ -e "$output.$number" ]; do number=$((number + 1)); done
    mv "$output" "$output.$number"
    echo "earlier output: $output.$number"
fi
mkdir -p "$output/ckpt"

start_time=$(date +%s)
nohup "$python" "$project/tcc/train.py" \
    --data_path="$data_path" \
    --logdir="$output/ckpt" \
    --max_iters="$max_steps" \
    --batch_size="$batch_size" \
    --precision_mode="$precision_mode" \
    --over_dump="$over_dump" \
    --over_dump_path="${over_dump_path:-$root/overflow_dump}" \
    --data_dump_flag="$data_dump_flag" \
    --data_dump_step="$data_dump_step" \
    --data_dump_path="${data_dump_path:-$root/data_dump}" \
    --profiling="$profiling" \
    --profiling_dump_path="${profiling_dump_path:-$root/profiling}" \
    --autotune="$autotune" \
    --alsologtostderr \
    --force_train >>"$log" 2>&1 </dev/null &
training=$!
# A signal is passed on; the training then saves a checkpoint, for --resume.
trap 'kill -TERM "$training" 2>/dev/null || true' INT TERM
echo "training: process $training, log $log"
code=0
wait "$training" || code=$?
while kill -0 "$training" 2>/dev/null; do wait "$training" || code=$?; done
e2e_time=$(($(date +%s) - start_time))
if [ "$code" -ne 0 ]; then
    tail -n 5 "$log" >&2
    refuse "the training ended with exit code $code; log: $log"
fi

# As the port reads its log: field 6 of the last line is the time of a step, field 8 of all the losses; a step that was done again
# after a training was killed counts once.
step_seconds=$(grep 's/iter' "$log" | tail -n 1 | awk '{split($6, part, "s"); print part[1]}')
losses=$output/train_${CaseName}_loss.txt
grep 'Loss:' "$log" | awk '
    {split($5, part, "/"); if (!(part[1] in loss)) order[++count] = part[1]; loss[part[1]] = $8}
    END {for (i = 1; i <= count; i++) print loss[order[i]]}' >"$losses.part"
mv "$losses.part" "$losses"
ActualLoss=$(tail -n 1 "$losses")
ActualFPS=$(awk -v batch="$batch_size" -v seconds="$step_seconds" 'BEGIN {printf "%.2f", batch / seconds}')
TrainingTime=$(awk -v seconds="$step_seconds" 'BEGIN {printf "%.2f", seconds}')

cat >"$output/$CaseName.log.part" <<RESULT
Network = $Network
RankSize = $RANK_SIZE
BatchSize = $batch_size
DeviceType = $(uname -m)
CaseName = $CaseName
ActualFPS = $ActualFPS
TrainAccuracy = $ActualLoss
TrainingTime = $TrainingTime
ActualLoss = $ActualLoss
E2ETrainingTime = $e2e_time
RESULT
mv "$output/$CaseName.log.part" "$output/$CaseName.log"

echo "------------------ Final result ------------------"
echo "Final Performance images/sec : $ActualFPS"
echo "E2E Training Duration sec : $e2e_time"
