"""The ViT of size tiny: width 192, 12 blocks, 3 heads, as DeiT-Ti."""

from seit_cl.models._vit import StemViT


class TinyViT(StemViT):
    """ViT behind a stem; width 192, 12 blocks, 3 heads, as DeiT-Ti."""

    source = "Touvron et al., ICML 2021"
    size = "tiny"


MODEL = TinyViT
