# The peer of bench/data.ts: Hugging Face `datasets` reads the same file and maps the same function over it.
import json, resource, sys, time
import datasets

datasets.disable_progress_bars()
MARK = "\n\nAssistant:"

def pair(row):
    chosen, rejected = row["chosen"], row["rejected"]
    a, b = chosen.rfind(MARK) + len(MARK), rejected.rfind(MARK) + len(MARK)
    return {"prompt": chosen[:a], "chosen": chosen[a:], "rejected": rejected[b:], "same": chosen[:a] == rejected[:b]}

start = time.time()
rows = datasets.load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
processes = int(sys.argv[3]) if len(sys.argv) > 3 else 1
pairs = rows.map(pair, num_proc=processes if processes > 1 else None)
end = time.time()
uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(use.ru_utime + use.ru_stime for use in uses)
peak = sum(use.ru_maxrss for use in uses) // 1024
print(json.dumps({"seconds": end - start, "cpuSeconds": cpu, "peakMB": peak}))
