#!/usr/bin/env bash
# A training with augmentation, pieces of batches, several averages and images that stay in their file, killed by kill -9 at 20 random
# moments: its final weights and averages are those of one that was left alone, byte for byte.
#
#   cargo build --release -p pfgmpp-cli && tests/kills.sh target/release/pfgmpp [DIR]
#
# Needs 1.2 GB of disk (the file is mostly a hole) and 1.5 GB of memory, and takes some minutes.
set -euo pipefail
pfgmpp=$(realpath "$1")
dir=$(realpath "${2:-$(mktemp -d)}")
cd "$(dirname "$0")/.."
kills=20

# 270,000 images of 64 by 64, above what is kept in memory; the first of them are noise.
data=$dir/images.npy
header="{'descr': '|u1', 'fortran_order': False, 'shape': (270000, 64, 64, 1), }"
{ printf '\x93NUMPY\x01\x00\x76\x00'; printf '%-117s\n' "$header"; head -c 134217728 /dev/urandom; } > "$data"
truncate -s $((128 + 270000 * 4096)) "$data"

train() {
  "$pfgmpp" train configs/digits.yaml --quiet --out "$1" \
    --set "data={npy: {path: $data}}" --set 'network={mlp: {hidden_dim: 8, num_layers: 1, embedding_type: positional}}' \
    --set 'augment={x_flip: true, geometric: 0.2}' --set training.micro_batch=12 \
    --set 'post_hoc_ema={sigma_rel: [0.05, 0.1], snapshot_every: 1024, keep: 4}' \
    --set training.nimg=8192 --set training.batch_size=32 --set training.log_every=256 --set training.state_every=256 \
    --set training.grid_every=0 --set optimizer.lr_ramp_up=64 --set optimizer.clip_norm=1.0 \
    --set sampler.schedule.edm.num_steps=3 --set sampler.solver=euler \
    --set scoring.num_samples=8 --set 'scoring.metrics=[denoising_error]' > "$1.log" 2>&1
}

sums() { (cd "$1" && sha256sum checkpoint/model.safetensors averages/* | sort); }

began=$(date +%s%N)
train "$dir/alone"
alone=$(( ($(date +%s%N) - began) / 1000000 ))
sums "$dir/alone" > "$dir/alone.sums"
echo "left alone: $alone ms"

killed=0 finished=0
while [ $killed -lt $kills ] || [ $finished -eq 0 ]; do
  out=$dir/killed$finished
  train "$out" &
  job=$!
  if [ $killed -lt $kills ]; then
    sleep "$(awk -v most="$alone" -v seed="$RANDOM" 'BEGIN { srand(seed); print 0.05 + rand() * most * 0.6 / 1000 }')"
    # The training is the child of the function's own shell.
    if pid=$(pgrep -P $job) && kill -9 "$pid" 2> "$dir/kill.log"; then
      killed=$((killed + 1))
    fi
  fi
  if wait $job 2> "$dir/wait.log"; then
    sums "$out" | diff - "$dir/alone.sums" || { echo "after $killed kills the weights are others"; exit 1; }
    finished=$((finished + 1))
  elif [ -s "$out.log" ]; then
    cat "$out.log"
    exit 1
  fi
done
echo "$killed kills, $finished runs finished: weights and averages are those of the run that was left alone"
