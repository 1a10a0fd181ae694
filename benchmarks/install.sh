#!/usr/bin/env bash
# What an installation brings, and that it lives beside OpenAI's Agents SDK, whose package is called `agents`.
#   benchmarks/install.sh [PYTHON]      a new virtual environment: several minutes and 1 GB in a temporary folder
set -euo pipefail
python=${1:-python3}
source=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
run="$folder/venv/bin"

step='
import gymnasium
env = gymnasium.make("radplan_env:RadPlan/Prostate-v0", progress=False)
env.reset(seed=0)
print("one step: score", env.step(env.action_space.sample() * 0)[4]["plan"]["score"])'
theirs='
from agents import Runner
import radplan_agents, radplan_env, radplan_experiments
print("agents.Runner is of", Runner.__module__, "; ours lie in", radplan_agents.__path__[0])'

beside() {
    cd "$folder/empty"
    "$run/python" -c "$theirs"
    cd "$source/tests/experiments"
    "$run/radplan" compare --agents template sdk_agent:SDKAgent --cases 1 --budget 3 --out "$folder/$1" 2> "$folder/log" |
        grep -i "sdk_agent" | head -2 || { tail "$folder/log"; exit 1; }
}

"$python" --version
"$python" -m venv "$folder/venv"
mkdir "$folder/empty"
started=$SECONDS
"$run/pip" install --quiet --constraint "$source/constraints.txt" "$source"
echo "installed in $((SECONDS - started)) s"
echo "$("$run/pip" list --format=freeze | grep -cvE '^(pip|setuptools)=') distributions," \
    "$(du -sm "$folder"/venv/lib/python*/site-packages | cut -f1) MB"
cd "$folder/empty"
"$run/radplan" --version
"$run/python" -c "$step"

"$run/pip" install --quiet --constraint "$source/constraints.txt" openai-agents
"$run/python" -c "$step"
beside wheel

# The caches of the first installation lie about when the second is used.
"$run/pip" install --quiet --no-deps --force-reinstall "$source"
cd "$folder/empty"
"$run/python" -c "$step"

"$run/pip" install --quiet --no-deps --force-reinstall --editable "$source"
beside editable
