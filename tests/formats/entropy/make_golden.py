"""Write golden.safetensors and golden-model.safetensors: a model, grids and their records.

Run it only when records are meant to change: memories written before can then no longer be read.

python tests/formats/entropy/make_golden.py, from the repository's root.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent
CODES = 40
HEIGHT = 5
WIDTH = 7
COUNT = 12

if __name__ == "__main__":
    sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER.parents[2])]
    from formats.entropy.test_grids import GOLDEN_NAMES

    from helpers.random_entropy import random_model
    from seit_cl.formats.entropy.grids import CODERS

    model = random_model(CODES, seed=4, tokenizer="golden")
    model.save(FOLDER / "golden-model.safetensors")
    generator = torch.Generator().manual_seed(4)
    grids = torch.randint(CODES, (COUNT, HEIGHT, WIDTH), generator=generator)
    tensors = {"grids": grids.to(torch.int16)}
    for name, coder in CODERS.items():
        records = coder(model, HEIGHT, WIDTH).encode(grids)
        tensors[f"{GOLDEN_NAMES[name]}.data"] = records.data
        tensors[f"{GOLDEN_NAMES[name]}.lengths"] = records.lengths
    save_file(tensors, FOLDER / "golden.safetensors")
