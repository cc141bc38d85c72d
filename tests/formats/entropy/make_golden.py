"""Writes golden.safetensors and golden-model.safetensors: a model, grids, and the records that they had when the format was
made. Run it only when records are meant to change: memories written before can then no longer be read.

python tests/entropy/make_golden.py, from the repository's root.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
CODES, HEIGHT, WIDTH, COUNT = 40, 5, 7, 12

if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
    from random_entropy import random_model

    from seit_cl.formats.entropy.grids import CODERS

    model = random_model(CODES, seed=4, tokenizer="golden")
    model.save(HERE / "golden-model.safetensors")
    grids = torch.randint(CODES, (COUNT, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(4))
    kept = {"grids": grids.to(torch.int16)}
    for name, coder in CODERS.items():
        records = coder(model, HEIGHT, WIDTH).encode(grids)
        kept |= {f"{name}.data": records.data, f"{name}.lengths": records.lengths}
    save_file(kept, HERE / "golden.safetensors")
