"""The image encoder of vit_b, vit_l and vit_h as other packages compute it, to measure ours beside."""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from persam.errors import PerSAMError
from persam.sam._segment_anything import import_modeling
from persam.sam.vit import EMBEDDING_WIDTH, Sizes

META_TO_TRANSFORMERS = (
    ("neck.0.", "neck.conv1."),
    ("neck.1.", "neck.layer_norm1."),
    ("neck.2.", "neck.conv2."),
    ("neck.3.", "neck.layer_norm2."),
    ("blocks.", "layers."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    ("patch_embed.proj.", "patch_embed.projection."),
)


def segment_anything(sizes: Sizes) -> nn.Module:
    """Meta's own."""
    encoder: nn.Module = import_modeling().ImageEncoderViT(
        img_size=sizes.input_size,
        patch_size=sizes.patch,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=sizes.mlp_ratio,
        out_chans=EMBEDDING_WIDTH,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=sizes.window,
        global_attn_indexes=sizes.global_blocks,
    )
    return encoder.eval()


def transformers(sizes: Sizes) -> nn.Module:
    """That of Hugging Face's SamModel, with the attention that it chooses for itself.

    Raises:
        PerSAMError: the package is not installed.
    """
    try:
        from transformers import SamVisionConfig, SamVisionModel
    except ImportError:
        raise PerSAMError('transformers is not installed: `pip install "persam[sam2]"`.') from None
    config = SamVisionConfig(
        hidden_size=sizes.width,
        output_channels=EMBEDDING_WIDTH,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        image_size=sizes.input_size,
        patch_size=sizes.patch,
        mlp_ratio=sizes.mlp_ratio,
        window_size=sizes.window,
        global_attn_indexes=list(sizes.global_blocks),
    )
    return _FromTransformers(SamVisionModel(config).vision_encoder).eval()


class _FromTransformers(nn.Module):
    """Takes and gives tensors."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        return self.encoder(x).last_hidden_state


def by_metas_names(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """An encoder's parameters under the names that Meta's files have for them, whichever package made it."""
    ours = {}
    for name, value in encoder.named_parameters():
        meta = name.removeprefix("encoder.")
        if meta != name:
            for of_meta, of_transformers in META_TO_TRANSFORMERS:
                meta = meta.replace(of_transformers, of_meta)
        ours[meta] = value
    return ours
