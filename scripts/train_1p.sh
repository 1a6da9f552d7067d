# What train_performance_1p.sh and train_full_1p.sh share: . train_1p.sh MODE STEPS ARGUMENT...
# Arguments are matched whole; an unknown one is refused.
set -uo pipefail

mode=$1
max_steps=$2
shift 2
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

Network="TCC_ID0714_for_TensorFlow2.X"
batch_size=2
precision_mode="allow_fp32_to_fp16"
over_dump=False
data_dump_flag=False
data_dump_step="10"
profiling=False
data_path=""
device=auto

export RANK_SIZE=1 RANK_ID=0 JOB_ID=10087 ASCEND_GLOBAL_LOG_LEVEL=${ASCEND_GLOBAL_LOG_LEVEL:-1}
export ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-0}

usage() {
    echo "usage: $0 --data_path=DIR [ARGUMENT...]"
    echo "  --data_path=DIR         folder with tmp/pouring_tfrecords and tmp/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    echo "  --precision_mode=MODE   allow_fp32_to_fp16 (the default), force_fp16, must_keep_origin_dtype, allow_mix_precision, ..."
    echo "  --over_dump=BOOL        dump operations that overflow, into output/overflow_dump"
    echo "  --data_dump_flag=BOOL   dump inputs and outputs of operations, into output/data_dump"
    echo "  --data_dump_step=STEPS  which steps, such as 0|3-5|10; 10 by default"
    echo "  --profiling=BOOL        write profiles, into output/profiling"
    echo "  --autotune=BOOL         only False: the plugin has it no more"
    echo "  --max_steps=N           fewer steps than $max_steps"
    echo "  --device=KIND           auto (the default), npu, gpu, cpu"
    [ "$mode" = perf ] && echo "  --ci_cp=1               without effect: the data are only read"
    return 0
}

for argument in "$@"; do
    value=${argument#*=}
    case $argument in
    --help | -h) usage; exit 1 ;;
    --data_path=*) data_path=$value ;;
    --precision_mode=*) precision_mode=$value ;;
    --over_dump=*) over_dump=$value ;;
    --data_dump_flag=*) data_dump_flag=$value ;;
    --data_dump_step=*) data_dump_step=$value ;;
    --profiling=*) profiling=$value ;;
    --max_steps=*) max_steps=$value ;;
    --device=*) device=$value ;;
    --autotune=False) ;;
    --autotune=*) echo "[Error] --autotune: the plugin has no such option any more; leave it out"; exit 1 ;;
    --ci_cp=*) [ "$mode" = perf ] || { echo "[Error] unknown argument $argument; --help lists all"; exit 1; } ;;
    *) echo "[Error] unknown argument $argument; --help lists all"; exit 1 ;;
    esac
done
if [ -z "$data_path" ]; then
    echo '[Error] para "data_path" must be confing'
    exit 1
fi

output=$PWD/output/$ASCEND_DEVICE_ID
log=$output/train_$ASCEND_DEVICE_ID.log
CaseName=${Network}_bs${batch_size}_${RANK_SIZE}p_$([ "$mode" = perf ] && echo perf || echo acc)

# A finished training is kept beside the new one; an interrupted one is gone on with.
if [ -e "$log" ] && grep -q "finally OKKKKKKKK" "$log"; then
    kept=1
    while [ -e "$output.$kept" ]; do kept=$((kept + 1)); done
    mv "$output" "$output.$kept"
fi
mkdir -p "$output/ckpt"

start=$(date +%s)
PYTHONPATH=$project${PYTHONPATH:+:$PYTHONPATH} "${PYTHON:-python3}" "$project/tcc/train.py" \
    --data_path="$data_path" \
    --batch_size="$batch_size" \
    --max_iters="$max_steps" \
    --logdir="$output/ckpt" \
    --device="$device" \
    --precision_mode="$precision_mode" \
    --over_dump="$over_dump" --over_dump_path="$PWD/output/overflow_dump" \
    --data_dump_flag="$data_dump_flag" --data_dump_step="$data_dump_step" --data_dump_path="$PWD/output/data_dump" \
    --profiling="$profiling" --profiling_dump_path="$PWD/output/profiling" \
    --alsologtostderr --force_train >>"$log" 2>&1
code=$?
e2e_time=$(($(date +%s) - start))
if [ "$code" -ne 0 ]; then
    grep -h "error: " "$log" | tail -n 1
    echo "[Error] the training ended with exit code $code; its log is $log"
    exit "$code"
fi

# Field 6 of a training line is the seconds of a step, field 8 its loss.
step_time=$(grep 's/iter' "$log" | tail -n 1 | awk '{print $6}' | cut -d s -f 1)
FPS=$(awk -v batch="$batch_size" -v seconds="$step_time" 'BEGIN {printf "%.2f", batch / seconds}')
grep 'Loss:' "$log" | awk '{print $8}' >"$output/train_${CaseName}_loss.txt"
ActualLoss=$(tail -n 1 "$output/train_${CaseName}_loss.txt")
TrainingTime=$(awk -v batch="$batch_size" -v fps="$FPS" 'BEGIN {printf "%.2f", batch / fps}')

echo "------------------ Final result ------------------"
echo "Final Performance images/sec : $FPS"
echo "E2E Training Duration sec : $e2e_time"
{
    echo "Network = $Network"
    echo "RankSize = $RANK_SIZE"
    echo "BatchSize = $batch_size"
    echo "DeviceType = $(uname -m)"
    echo "CaseName = $CaseName"
    echo "ActualFPS = $FPS"
    echo "TrainAccuracy = $ActualLoss"
    echo "TrainingTime = $TrainingTime"
    echo "ActualLoss = $ActualLoss"
    echo "E2ETrainingTime = $e2e_time"
} >"$output/$CaseName.log"
