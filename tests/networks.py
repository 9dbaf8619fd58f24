"""Small networks for tests: SAM's shape with random weights that depend on nothing but a seed."""

from functools import partial

import torch

from persam.sam._segment_anything import import_modeling
from persam.sam.backbone import SamBackbone
from tests.golden.fill import fill


def sam(seed: int, *, input_size: int = 1024) -> torch.nn.Module:
    """The network of the golden numbers: Meta's builder with a small encoder (tests/golden/README.md)."""
    modeling = import_modeling()
    grid = (input_size // 16, input_size // 16)
    encoder = modeling.ImageEncoderViT(
        depth=4,
        embed_dim=64,
        img_size=input_size,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=4,
        patch_size=16,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=[1, 3],
        window_size=14,
        out_chans=256,
    )
    prompts = modeling.PromptEncoder(
        embed_dim=256, image_embedding_size=grid, input_image_size=(input_size, input_size), mask_in_chans=16
    )
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = modeling.MaskDecoder(
        num_multimask_outputs=3,
        transformer=transformer,
        transformer_dim=256,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    network = modeling.Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]).eval()
    network.load_state_dict(fill(network.state_dict(), seed))
    return network


def small_backbone(seed: int = 3) -> SamBackbone:
    """The same at 256 pixels: a 16 x 16 grid, quick enough for every test."""
    return SamBackbone(sam(seed, input_size=256), name="small", fingerprint=f"small-{seed}")
