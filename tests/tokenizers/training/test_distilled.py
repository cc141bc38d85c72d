"""Training a tokenizer on a teacher's features in place of labels."""

import torch
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.distilled import DistilledTrainer, distillation_loss
from seit_cl.tokenizers.training.trainer import TrainingSettings


def test_the_loss_is_small_only_where_each_prediction_is_nearest_to_its_own_features() -> None:
    features = F.normalize(torch.eye(4), dim=1)
    assert distillation_loss(3 * features, features) < 0.001
    assert distillation_loss(features.roll(1, 0), features) > 9


def test_codes_learn_to_predict_the_features_of_their_images() -> None:
    colours = torch.tensor([[200, 30, 30], [30, 200, 30], [30, 30, 200], [90, 90, 90]])
    pictures = colours.to(torch.uint8)[:, :, None, None].expand(4, 3, 32, 32).contiguous()
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VQAutoencoder(codes=32, dim=8, width=16, depth=1)
    settings = TrainingSettings(1.0, steps=60, batch=8, crop=32)
    training = DistilledTrainer(model, pictures, features, settings)
    training.run()
    with torch.no_grad():
        training.head.eval()
        model.eval()
        latents = model.latents(pictures.float() / 127.5 - 1)
        predicted = training.head(model.embed(model.nearest(latents)))
    similarity = F.normalize(predicted, dim=1) @ F.normalize(features, dim=1).T
    assert torch.equal(similarity.argmax(1), torch.arange(4))
