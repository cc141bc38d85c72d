"""The ViT of size micro: width 128, 4 blocks, 4 heads; made for CPUs."""

from seit_cl.models._vit import StemViT


class MicroViT(StemViT):
    """ViT behind a stem; width 128, 4 blocks, 4 heads; made for CPUs."""

    source = "ours"
    size = "micro"


MODEL = MicroViT
