# The peer of bench/tokenise.ts: Hugging Face `tokenizers` encodes the same texts in batches, and `datasets` maps the same over rows.
import json, os, resource, sys, time

threads = int(sys.argv[3]) if len(sys.argv) > 3 else None
if threads is None:
    for each in ("1", "2"):
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, *sys.argv, each])
    sys.exit()
os.environ["RAYON_NUM_THREADS"] = str(threads)
import datasets
from tokenizers import Tokenizer

datasets.disable_progress_bars()
tokenizer = Tokenizer.from_file(os.path.join(sys.argv[1], "tokenizer.json"))
parts = ("prompt", "chosen", "rejected")


def said(what, tokens, start, before):
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(use.ru_utime + use.ru_stime for use in uses)
    seconds = time.time() - start
    print(json.dumps({"what": what, "threads": threads, "tokens": tokens, "seconds": round(seconds, 2), "cpuSeconds": round(cpu - before, 2),
                      "perSecond": round(tokens / seconds), "perCpuSecond": round(tokens / (cpu - before))}), flush=True)
    return cpu


def encoded(rows):
    return {part: [encoding.ids for encoding in tokenizer.encode_batch(rows[part], add_special_tokens=False)] for part in parts}


start = time.time()
rows = [json.loads(line) for line in open(sys.argv[2])]
tokens = 0
for at in range(0, len(rows), 1000):
    batch = {part: [row[part] for row in rows[at:at + 1000]] for part in parts}
    tokens += sum(len(ids) for lists in encoded(batch).values() for ids in lists)
cpu = said("json and encode_batch", tokens, start, 0)
del rows
start = time.time()
made = datasets.load_dataset("json", data_files=sys.argv[2], split="train", cache_dir="/tmp/penchant-bench-peer").map(
    encoded, batched=True, load_from_cache_file=False, num_proc=threads if threads > 1 else None)
said("datasets load and map", tokens, start, cpu)
