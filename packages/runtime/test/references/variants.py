"""Writes variants.json: forms of configs that people have, and what transformers computes for them.

    python variants.py > variants.json

Weights follow from a tensor's name and an element's number (`values`), so none are stored. Made with transformers 5.18 and torch 2.13
in float32 with eager attention. `older` is the config as transformers 4 writes it.
"""
import json

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GPT2Config, GPTNeoXConfig, LlamaConfig
from transformers import MistralConfig, Phi3Config, Qwen2Config, Qwen3Config

ends = dict(bos_token_id=1, eos_token_id=2)
neox = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128, **ends)
grouped = dict(neox, num_key_value_heads=2)
gpt2 = dict(vocab_size=96, n_positions=64, n_embd=32, n_layer=2, n_head=4, **ends)
rope = lambda kind, **more: dict(rope_type=kind, rope_theta=10000.0, **more)
yarn = rope("yarn", factor=4.0, original_max_position_embeddings=32)
longrope = rope("longrope", short_factor=[1.0, 1.1, 1.3, 1.5], long_factor=[1.0, 2.0, 4.0, 8.0], original_max_position_embeddings=32, factor=4.0)

variants = {
    "Llama with biases": LlamaConfig(**grouped, attention_bias=True, mlp_bias=True),
    "Llama 3.2, tied": LlamaConfig(**grouped, tie_word_embeddings=True, head_dim=16, rope_parameters=dict(rope("llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32), rope_theta=500000.0)),
    "Llama, linear": LlamaConfig(**grouped, rope_parameters=rope("linear", factor=2.0)),
    "Llama, dynamic": LlamaConfig(**grouped, rope_parameters=rope("dynamic", factor=2.0)),
    "Llama, yarn with mscale": LlamaConfig(**grouped, rope_parameters=dict(yarn, mscale=1.0, mscale_all_dim=0.5, beta_fast=16.0, beta_slow=2.0)),
    "Qwen 2, yarn": Qwen2Config(**grouped, rope_parameters=yarn),
    "Qwen 2, windows": Qwen2Config(**grouped, use_sliding_window=True, sliding_window=7, max_window_layers=1),
    "Qwen 2, tied, windows off": Qwen2Config(**grouped, tie_word_embeddings=True, sliding_window=7, use_sliding_window=False),
    "Qwen 3 with biases, tied": Qwen3Config(**grouped, head_dim=8, attention_bias=True, tie_word_embeddings=True),
    "Mistral without a window": MistralConfig(**grouped, sliding_window=None, head_dim=12),
    "Gemma 2, another scale": Gemma2Config(**grouped, head_dim=12, query_pre_attn_scalar=20, sliding_window=6, attn_logit_softcapping=5.0, final_logit_softcapping=3.0),
    "Gemma 2 without caps": Gemma2Config(**grouped, head_dim=8, query_pre_attn_scalar=8, sliding_window=6, attn_logit_softcapping=None, final_logit_softcapping=None),
    "Gemma 3 of seven layers": Gemma3TextConfig(**dict(grouped, num_hidden_layers=7), head_dim=8, query_pre_attn_scalar=8, sliding_window=6),
    "GPT-NeoX one after the other": GPTNeoXConfig(**neox, use_parallel_residual=False, rotary_pct=1.0),
    "GPT-NeoX without biases, tied": GPTNeoXConfig(**neox, attention_bias=False, rotary_pct=0.5, hidden_act="gelu_fast", tie_word_embeddings=True),
    "GPT-2, scales by layer": GPT2Config(**gpt2, n_inner=40, scale_attn_by_inverse_layer_idx=True),
    "GPT-2 without a scale": GPT2Config(**gpt2, scale_attn_weights=False, activation_function="gelu"),
    "Phi-3, su": Phi3Config(**grouped, pad_token_id=0, original_max_position_embeddings=32, rope_parameters=longrope),
    "Phi-4-mini": Phi3Config(**dict(grouped, hidden_size=64), pad_token_id=0, partial_rotary_factor=0.75, tie_word_embeddings=True, sliding_window=5),
}


def values(name: str, count: int) -> np.ndarray:
    """Uniform in [-0.5, 0.5) by a hash of 32 bits."""
    seed = 0
    for letter in name:
        seed = (seed * 31 + ord(letter)) % 2**32
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) % 2**32
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(16))) * 0x45D9F3B) % 2**32
    return (x ^ (x >> np.uint64(16))).astype(np.float64) / 2**32 - 0.5


def older(config: dict, kind: str) -> dict:
    config = dict(config)
    config["torch_dtype"] = config.pop("dtype")
    rope = dict(config.pop("rope_parameters", None) or {})
    if "full_attention" in rope:
        return dict(config, rope_theta=rope["full_attention"]["rope_theta"], rope_local_base_freq=rope["sliding_attention"]["rope_theta"], rope_scaling=None)
    if not rope:
        return config
    theta, share = rope.pop("rope_theta"), rope.pop("partial_rotary_factor", None)
    if kind == "gpt_neox":
        return dict(config, rotary_emb_base=theta, rotary_pct=share)
    config["rope_theta"] = theta
    if share is not None:
        config["partial_rotary_factor"] = share
    type = rope.pop("rope_type")
    if type == "longrope":
        return dict(config, rope_scaling=dict(type="su", short_factor=rope["short_factor"], long_factor=rope["long_factor"]))
    return config if type == "default" else dict(config, rope_scaling=dict(rope, type=type))


made = {}
for name, config in variants.items():
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter, p in model.named_parameters():
            # Norms multiply by what is near 1; Gemma's add the 1 themselves.
            around = 1 if p.ndim == 1 and parameter.endswith("weight") and "gemma" not in config.model_type else 0
            size = 0.6 if p.ndim > 1 else 0.3
            if config.model_type == "gpt_neox":
                parameter = parameter.replace("lm_head", "embed_out")  # as in the file
            p.copy_(torch.tensor(around + size * values(parameter, p.numel())).reshape(p.shape))
    ids = [int(3 + 93 * (x + 0.5)) for x in values(name, 24)]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    logps = torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]]
    fields = json.loads(model.config.to_json_string())
    fields["architectures"] = [type(model).__name__]
    made[name] = dict(config=fields, older=older(fields, config.model_type), ids=ids, logps=[round(x, 7) for x in logps.tolist()])
rows = [f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in made.items()]
print("{\n" + ",\n".join(rows) + "\n}")
