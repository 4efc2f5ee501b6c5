"""Writes adapters/FAMILY: a LoRA adapter as PEFT writes it, and what PEFT computes with it.

    python adapters.py

Made with peft 0.21, transformers 5.18 and torch 2.13 in float32 with eager attention: log-probabilities before, three AdamW steps (rate
0.01, decay 0.1, clipped at 0.5) of the mean negative log-probability of the first sequence, log-probabilities after.
"""
import json
import pathlib
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

here = pathlib.Path(__file__).parent
families = {"gpt_neox": ["query_key_value", "dense"], "phi3": ["qkv_proj", "gate_up_proj", "down_proj"]}

for family, targets in families.items():
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(here / "models" / family, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")).eval()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    with torch.no_grad():
        for name, p in trained:
            p.copy_(0.1 * torch.randn_like(p))
    out = here / "adapters" / family
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        (out / "adapter_model.safetensors").write_bytes((pathlib.Path(folder) / "adapter_model.safetensors").read_bytes())
    ids = [sequence["ids"] for sequence in json.loads((here / "models" / family / "expected.json").read_text())["sequences"]]

    def logps(sequence):
        logits = model(torch.tensor([sequence])).logits[0]
        return torch.log_softmax(logits, -1)[range(len(sequence) - 1), sequence[1:]]

    def scores():
        with torch.no_grad():
            return [logps(sequence).tolist() for sequence in ids]

    expected = dict(ids=ids, before=scores(), curve=[])
    optimiser = torch.optim.AdamW([p for _, p in trained], lr=0.01, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        loss = -logps(ids[0]).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in trained], 0.5)
        optimiser.step()
        expected["curve"].append(dict(loss=loss.item(), grad_norm=norm.item()))
    expected["after"] = scores()
    (out / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
