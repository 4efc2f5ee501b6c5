# Writes datasets-configs.json: for layouts of a data set's repository, the files that Hugging Face `datasets` takes for each split.
#   python datasets-configs.py > datasets-configs.json
import contextlib, json, os, shutil, sys, tempfile
import datasets, datasets.utils.logging
from datasets import load_dataset_builder

datasets.utils.logging.set_verbosity_error()
def card(yaml): return f"---\n{yaml.strip()}\n---\n# Card\n"

TWO = card("""
license: mit
configs:
- config_name: helpful
  data_files:
  - split: train
    path: helpful/train-*.parquet
  - split: test
    path:
    - helpful/test.parquet
    - helpful/more/*.parquet
- config_name: harmless
  default: true
  data_files:
  - split: train
    path: "harmless/*"
""")
HELPFUL = ["helpful/train-00000-of-00002.parquet", "helpful/train-00001-of-00002.parquet", "helpful/test.parquet",
           "helpful/more/a.parquet", "helpful/more/b.parquet", "harmless/x.parquet", "harmless/deep/y.parquet"]
CASES = [
  # (name, files, card, config)
  ("config named", HELPFUL, TWO, "helpful"),
  ("default: true", HELPFUL, TWO, None),
  ("config missing", HELPFUL, TWO, "other"),
  ("called default", ["a.jsonl", "b.jsonl"], card("configs:\n- config_name: default\n  data_files: a.jsonl\n- config_name: b\n  data_files: b.jsonl"), None),
  ("no default of two", ["a.jsonl", "b.jsonl"], card("configs:\n- config_name: a\n  data_files: a.jsonl\n- config_name: b\n  data_files: b.jsonl"), None),
  ("two defaults", ["a.jsonl", "b.jsonl"], card("configs:\n- config_name: default\n  data_files: a.jsonl\n- config_name: b\n  default: true\n  data_files: b.jsonl"), None),
  ("one config alone", ["data/x.jsonl"], card("configs:\n- config_name: only\n  data_files: data/x.jsonl"), None),
  ("list of patterns is train", ["p/a.jsonl", "q/b.jsonl", "r/c.jsonl"], card("configs:\n- config_name: default\n  data_files:\n  - p/*\n  - q/*"), None),
  ("data_dir, names of splits", ["v1/train.jsonl", "v1/test.jsonl", "v2/train.jsonl"], card("configs:\n- config_name: v1\n  data_dir: v1\n- config_name: v2\n  data_dir: v2"), "v1"),
  ("data_dir with data_files", ["v0.jsonl", "v1/x.jsonl", "v2/x.jsonl"], card("configs:\n- config_name: v0\n  data_files: v0.jsonl\n- config_name: v1\n  data_dir: v1/\n  data_files: x.jsonl"), "v1"),
  ("two stars", ["d/a.jsonl", "d/e/b.jsonl", "d/e/f/c.jsonl"], card("configs:\n- config_name: default\n  data_files: d/**"), None),
  ("stars in the middle", ["d/a.jsonl", "d/e/a.jsonl", "d/e/f/a.jsonl", "d/e/b.jsonl"], card("configs:\n- config_name: default\n  data_files: d/**/a.jsonl"), None),
  ("one star stays in its folder", ["d/a.jsonl", "d/e/b.jsonl"], card("configs:\n- config_name: default\n  data_files: d/*"), None),
  ("question mark and range", ["a1.jsonl", "a2.jsonl", "a12.jsonl", "b1.jsonl"], card("configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: a?.jsonl\n  - split: test\n    path: '[b-c]*.jsonl'"), None),
  ("not hidden, not in __x__", ["d/a.jsonl", "d/.b.jsonl", ".h/c.jsonl", "__m__/d.jsonl"], card("configs:\n- config_name: default\n  data_files: '**'"), None),
  ("other formats beside", ["d/a.jsonl", "d/notes.zzz", "README.txt.zzz"], card("configs:\n- config_name: default\n  data_files: d/*"), None),
  ("dotted path", ["d/a.jsonl"], card("configs:\n- config_name: default\n  data_files: ./d/a.jsonl"), None),
  ("split of its own name", ["d/a.jsonl", "d/b.jsonl"], card("configs:\n- config_name: default\n  data_files:\n  - split: train_prefs\n    path: d/a.jsonl\n  - split: test.gen\n    path: d/b.jsonl"), None),
  ("split with a dash", ["a.jsonl"], card("configs:\n- config_name: default\n  data_files:\n  - split: a-b\n    path: a.jsonl"), None),
  ("a split twice", ["a.jsonl", "b.jsonl"], card("configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: a.jsonl\n  - split: train\n    path: b.jsonl"), None),
  ("config without a name", ["a.jsonl"], card("configs:\n- data_files: a.jsonl"), None),
  ("no YAML", ["train.jsonl"], "---\nconfigs: [\n---\n", None),
  ("no front matter", ["train.jsonl", "test.jsonl"], "# Card\n", None),
  ("no configs", ["train.jsonl", "test.jsonl"], card("license: mit"), None),
  ("no card", ["train.jsonl", "test.jsonl"], None, None),
  ("shards in data", ["data/train_prefs-00000-of-00001.parquet", "data/test_sft-00000-of-00001-0123abcd.parquet", "train.parquet"], None, None),
  ("folders of splits", ["train/a.jsonl", "train/b/c.jsonl", "test/a.jsonl", "other/x.jsonl"], None, None),
  ("words for splits", ["my_training.jsonl", "set-dev.jsonl", "eval 2.jsonl", "trained.jsonl"], None, None),
  ("folder before name", ["train/x.jsonl", "val.jsonl"], None, None),
  ("all are train", ["alpha.jsonl", "beta.jsonl"], None, None),
  ("HH", ["harmless-base/train.jsonl.gz", "harmless-base/test.jsonl.gz", "helpful-base/train.jsonl.gz", "red-team-attempts/red.jsonl.gz"], None, None),
  ("names inside words", ["constrain.jsonl", "x.train.jsonl", "atest.jsonl"], None, None),
]

def found(root, config):
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null), contextlib.redirect_stdout(null):
        builder = load_dataset_builder(root, name=config, cache_dir=os.path.join(root, "..", "cache"))
    return {str(split): sorted(os.path.relpath(f, root) for f in files) for split, files in builder.config.data_files.items()}

out = []
for name, files, readme, config in CASES:
    top = tempfile.mkdtemp(); root = os.path.join(top, "set"); os.makedirs(root)
    for f in files:
        os.makedirs(os.path.dirname(os.path.join(root, f)), exist_ok=True)
        open(os.path.join(root, f), "w").write("{}\n")
    if readme is not None: open(os.path.join(root, "README.md"), "w").write(readme)
    case = {"name": name, "files": files, **({} if readme is None else {"readme": readme}), **({} if config is None else {"config": config})}
    try: case["splits"] = found(root, config)
    except Exception as e: case["refused"] = type(e).__name__; print(name, repr(e)[:150], file=sys.stderr)
    out.append(case); shutil.rmtree(top)
print(json.dumps({"datasets": datasets.__version__, "cases": out}, indent=1))
