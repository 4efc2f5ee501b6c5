"""The peers of bench/train: TRL's DPOTrainer as it comes, TRL tuned, and a packed plain-torch loop.

Usage: peer.py VARIANT MODEL_DIR PAIRS.json STEPS BATCH [cuda]. PAIRS.json: [{"prompt_ids", "chosen_ids", "rejected_ids"}].
Prints one JSON line: seconds of every optimiser step, losses, peak resident memory, versions, flags.
With `cuda`: bfloat16 on a GPU, weights float32 as TRL loads them, scaled-dot-product attention; not yet run on one.
All other variants: float32, 2 threads, AdamW without decay, clip 1, constant rate, pairs in the order given, token ids as given.
"""
import json, resource, sys, time

import torch

CUDA = sys.argv[6:] == ["cuda"]
if not CUDA:
    torch.set_num_threads(2)
variant, model_dir, pairs_file, steps, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
pairs = json.load(open(pairs_file))[: steps * batch]
RATE, BETA = 1e-5, 0.1


def report(seconds, losses, flags):
    peak = torch.cuda.max_memory_allocated() / 2**20 if CUDA else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import transformers, trl
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    print(json.dumps({"variant": variant, "seconds": seconds, "losses": losses, "peakMiB": peak, "flags": flags, "versions": versions}))


def run_trl(tuned):
    import tempfile
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    class Pretokenised(DPOTrainer):  # the token ids are given, so that every side trains on the same ones
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

    class Clock(TrainerCallback):
        marks, losses = [], []

        def on_step_begin(self, *args, **kwargs):
            self.marks.append(time.perf_counter())

        def on_step_end(self, *args, **kwargs):
            self.marks[-1] = time.perf_counter() - self.marks[-1]

        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs and "loss" in logs:
                self.losses.append(logs["loss"])

    flags = {"gradient_checkpointing": not tuned, "precompute_ref_log_probs": tuned}
    args = DPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, max_steps=steps, learning_rate=RATE, beta=BETA,
        lr_scheduler_type="constant", warmup_steps=0, bf16=CUDA, max_length=None, logging_steps=1, save_strategy="no",
        report_to=[], use_cpu=not CUDA, disable_tqdm=True, train_sampling_strategy="sequential", **flags,
    )
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    reference = None if tuned else AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    start = time.perf_counter()
    trainer = Pretokenised(model=model, ref_model=reference, args=args, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer, callbacks=[Clock()])
    flags["setup_seconds"] = time.perf_counter() - start  # with `tuned`, the reference is computed here
    trainer.train()
    report(Clock.marks, Clock.losses, flags)


class Packed(torch.nn.Module):
    """The same Llama on rows packed [prompt | chosen | rejected] per pair, no padding: the prompt once, the head on completion rows."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        c = model.config
        self.heads, self.kv, self.hd = c.num_attention_heads, c.num_key_value_heads, c.head_dim

    def forward(self, batch):
        import torch.nn.functional as F
        m = self.model.model
        ids, pos, rows, targets, owner, segments = [], [], [], [], [], []
        for p in batch:
            P, C, R = p["prompt_ids"], p["chosen_ids"], p["rejected_ids"]
            at = len(ids)
            ids += P + C[:-1] + R[:-1]
            pos += list(range(len(P) + len(C) - 1)) + list(range(len(P), len(P) + len(R) - 1))
            c0, r0 = at + len(P), at + len(P) + len(C) - 1
            rows += [at + len(P) - 1] + list(range(c0, r0)) + [at + len(P) - 1] + list(range(r0, r0 + len(R) - 1))
            targets += C + R
            owner.append((len(C), len(R)))
            segments += [len(P), len(C) - 1, len(R) - 1]
        x = m.embed_tokens(torch.tensor(ids))
        cos, sin = m.rotary_emb(x[None], torch.tensor(pos)[None])
        cos, sin = cos[0][:, None], sin[0][:, None]

        def rope(t):
            half = t.shape[-1] // 2
            return t * cos + torch.cat((-t[..., half:], t[..., :half]), -1) * sin

        for layer in m.layers:
            h = layer.input_layernorm(x)
            a = layer.self_attn
            q = rope(a.q_proj(h).view(-1, self.heads, self.hd)).split(segments)
            k = rope(a.k_proj(h).view(-1, self.kv, self.hd)).split(segments)
            v = a.v_proj(h).view(-1, self.kv, self.hd).split(segments)
            out = []
            for i, n in enumerate(segments):
                first = i - i % 3
                K = k[i] if i == first else torch.cat((k[first], k[i]))
                V = v[i] if i == first else torch.cat((v[first], v[i]))
                if n == 0:
                    continue
                mask = torch.ones(n, K.shape[0], dtype=torch.bool).tril(K.shape[0] - n)
                o = F.scaled_dot_product_attention(q[i].transpose(0, 1)[None], K.transpose(0, 1)[None], V.transpose(0, 1)[None], attn_mask=mask, enable_gqa=True)
                out.append(o[0].transpose(0, 1).reshape(n, -1))
            x = x + a.o_proj(torch.cat(out))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        logits = self.model.lm_head(m.norm(x[torch.tensor(rows)]))
        logps = torch.log_softmax(logits, -1).gather(1, torch.tensor(targets)[:, None])[:, 0]
        parts = logps.split([n for pair in owner for n in pair])
        return torch.stack([parts[2 * i].sum() - parts[2 * i + 1].sum() for i in range(len(batch))])


def run_packed():
    from transformers import AutoModelForCausalLM
    model = Packed(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0)
    batches = [pairs[i * batch : (i + 1) * batch] for i in range(steps)]
    with torch.no_grad():
        reference = [torch.cat([model([p]) for p in b]) for b in batches]
    seconds, losses = [], []
    for b, ref in zip(batches, reference):
        start = time.perf_counter()
        optimiser.zero_grad()
        loss = -torch.nn.functional.logsigmoid(BETA * (model(b) - ref)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    report(seconds, losses, {"reference": "cached", "gradient_checkpointing": False})


if variant == "packed-torch":
    run_packed()
else:
    run_trl(tuned=variant == "trl-tuned")
