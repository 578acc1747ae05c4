#!/usr/bin/env bash
# A sweep of 200 tiny runs by 1, 3 and 8 shards at once, each of which is killed by kill -9 at random moments and started again: every run
# is finished once, and the table is that of one call that was left alone.
#
#   cargo build --release -p pfgmpp-cli && tests/shards.sh target/release/pfgmpp [DIR]
#
# Takes some minutes.
set -euo pipefail
pfgmpp=$(realpath "$1")
dir=$(realpath "${2:-$(mktemp -d)}")
cd "$(dirname "$0")/.."
kills=24

sed -e 's/num_samples: 1024/num_samples: 16/' -e 's/batch_size: 256/batch_size: 16/' -e 's/num_projections: 256/num_projections: 4/' \
  -e 's/num_steps: 18/num_steps: 2/' configs/exact.yaml > "$dir/exact.yaml"
seeds=$(seq -s ', ' 0 49)
printf 'name: tiny\ndescription: x\nbase: exact.yaml\njobs: 1\naxes:\n  d: [1, 8, 128, inf]\n  seed: [%s]\n' "$seeds" > "$dir/tiny.yaml"

sweep() { "$pfgmpp" sweep --threads 1 "$dir/tiny.yaml" --out "$@"; }

# The table but for how long each run took.
table() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "seconds") skip = i } { $skip = ""; print }' OFS=, "$1/results.csv"
}

# Which file each run's result is: another one would have been written later. Files that come and go meanwhile are none of its concern.
results() { find "$1" -name metrics.json -printf '%p %i %T@\n' 2> "$1.found" | sort || true; }

# Shard $1 of $2 into $3, killed $4 times.
shard() {
  local left=$4 pid
  while true; do
    sweep "$3" --shard "$1/$2" >> "$3.$1.log" 2>&1 &
    pid=$!
    if [ "$left" -gt 0 ]; then
      sleep "$(awk -v most="$longest" -v seed="$RANDOM" 'BEGIN { srand(seed); print 0.02 + rand() * most / 1000 }')"
      if kill -9 "$pid" 2> "$3.$1.kill"; then
        left=$((left - 1))
        echo killed >> "$3.kills"
      fi
    fi
    if wait "$pid" 2>> "$3.$1.kill"; then
      return
    fi
    # Ended by a signal, or by itself: then it says why.
    if grep -q '^error: ' "$3.$1.log"; then
      cat "$3.$1.log"
      return 1
    fi
  done
}

trap 'kill $(jobs -p) 2> "$dir/trap" || true' EXIT

began=$(date +%s%N)
sweep "$dir/alone" > "$dir/alone.log" 2>&1
alone=$(( ($(date +%s%N) - began) / 1000000 ))
echo "left alone: 200 runs in $alone ms"

for shards in 1 3 8; do
  out=$dir/by$shards
  : > "$out.kills"
  # About twice as long as the work takes, all kills together.
  longest=$(( 2 * alone / kills ))
  began=$(date +%s%N)
  jobs=()
  for number in $(seq "$shards"); do
    shard "$number" "$shards" "$out" $(( kills / shards )) &
    jobs+=($!)
  done
  # What is finished is not done again.
  : > "$out.before"
  while true; do
    running=0
    for job in "${jobs[@]}"; do kill -0 "$job" 2> "$out.gone" && running=1; done
    results "$out" > "$out.now"
    lost=$(comm -23 "$out.before" "$out.now")
    if [ -n "$lost" ]; then echo "done again: $lost"; exit 1; fi
    mv "$out.now" "$out.before"
    [ $running = 1 ] || break
    sleep 0.2
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  took=$(( ($(date +%s%N) - began) / 1000000 ))
  sweep "$out" --collect > "$out.collect.log" 2>&1
  diff <(table "$out") <(table "$dir/alone") || { echo "$shards shards: the table is another"; exit 1; }
  echo "$shards shards: $(wc -l < "$out.kills") kills, $(wc -l < "$out.before") runs finished once, the table is the same; $took ms"
done
