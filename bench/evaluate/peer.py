"""lm-eval's side of bench/evaluate. Usage: peer.py DATA. Prints one JSON line; exits with 3 where lm-eval is not installed."""
import json, os, sys, time

try:
    import torch, lm_eval, transformers
except ImportError:
    sys.exit(3)
import datasets
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

torch.set_num_threads(2)
root = sys.argv[1]
rows = lambda file: datasets.Dataset.from_list([json.loads(line) for line in open(os.path.join(root, "benchmarks", file + ".jsonl"))])
asked = {
    "leaderboard_bbh_boolean_expressions": {"test": "bbh/boolean_expressions"},
    "leaderboard_bbh_snarks": {"test": "bbh/snarks"},
    "gsm8k": {"test": "gsm8k/test", "train": "gsm8k/train"},
}
splits = None
# The shipped rows in place of the Hub's: the only thing that is not lm-eval's own.
datasets.load_dataset = lambda *a, **k: datasets.DatasetDict({split: rows(file) for split, file in splits.items()})
flags = {"device": "cpu", "dtype": "float32", "batch_size": 8}
model = HFLM(pretrained=os.path.join(root, "models/stories260K"), **flags)
manager = TaskManager()
seconds, numbers = {}, {}
for task, splits in asked.items():
    started, cpu = time.perf_counter(), time.process_time()
    result = simple_evaluate(model, tasks=[task], task_manager=manager, bootstrap_iters=0)["results"][task]
    kind = "generation" if task == "gsm8k" else "multiple choice"
    seconds[kind] = seconds.get(kind, 0) + time.perf_counter() - started
    seconds[kind + ", CPU"] = seconds.get(kind + ", CPU", 0) + time.process_time() - cpu
    numbers.update({f"{task} {k}": float(v) for k, v in result.items() if "," in k and "stderr" not in k})
versions = {"lm-eval": lm_eval.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
print(json.dumps({"seconds": seconds, "numbers": numbers, "note": json.dumps({**flags, **versions})}))
