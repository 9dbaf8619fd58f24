"""SAM 2.1 and EdgeTAM with a few random layers at 64 pixels, as transformers builds and saves them.

Their weights are drawn wide enough for masks with shapes, and for object scores on both sides of 0.
"""

from pathlib import Path
from typing import Any

import torch

SIDE = 64
KINDS = ("Sam2Video", "EdgeTamVideo")
# What their modules do not take from the configuration sets a least width: the memory's 64 channels.
HIERA = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "image_size": [SIDE, SIDE],
    "blocks_per_stage": [1, 1, 1, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 1, 1],
    "window_size_per_stage": [2, 2, 2, 2],
    "global_attention_blocks": [],
    "window_positional_embedding_background_size": [2, 2],
}
SHARED = {
    "vision_config": {
        "model_type": "sam2_vision_model",
        "backbone_config": HIERA,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 128,
    },
    "prompt_encoder_config": {"hidden_size": 128, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4},
    "mask_decoder_config": {"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    "image_size": SIDE,
    "num_maskmem": 3,
    "max_object_pointers_in_encoder": 4,
    "memory_attention_hidden_size": 128,
    "memory_attention_num_layers": 1,
    "memory_attention_rope_feat_sizes": [4, 4],
    "memory_encoder_hidden_size": 128,
    "memory_encoder_output_channels": 64,
    "mask_downsampler_embed_dim": 128,
    "memory_fuser_embed_dim": 128,
    "memory_fuser_intermediate_dim": 32,
    "memory_fuser_num_layers": 1,
}
OWN = {
    "Sam2Video": {"memory_attention_feed_forward_hidden_size": 32},
    "EdgeTamVideo": {
        "memory_attention_mlp_hidden_size": 32,
        "memory_attention_rope_k_sizes": [2, 2],
        "perceiver_resampler_num_latents": 4,
        "perceiver_resampler_num_latents_2d": 4,
        "perceiver_resampler_mlp_intermediate_size": 16,
    },
}


def network(kind: str, seed: int = 0) -> Any:
    import transformers

    config = getattr(transformers, f"{kind}Config")(**SHARED, **OWN[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(transformers, f"{kind}Model")(config).eval()
        for name, one in made.named_parameters():
            if one.ndim > 1:
                torch.nn.init.normal_(one, std=1.5 / one[0].numel() ** 0.5)
            elif not name.endswith("weight"):
                torch.nn.init.normal_(one, std=0.1)
    return made.requires_grad_(False)


def save(kind: str, folder: Path) -> Path:
    network(kind).save_pretrained(folder)
    return folder


def see(model: Any, object_score: float | None) -> None:
    """Has a network say this object score (a logit) whatever it sees; None gives it back what it was drawn with."""
    head = model.mask_decoder.pred_obj_score_head.proj_out
    if not hasattr(model, "drawn"):
        model.drawn = head.weight.clone(), head.bias.clone()
    weight, bias = model.drawn
    head.weight.copy_(weight if object_score is None else torch.zeros_like(weight))
    head.bias.copy_(bias if object_score is None else torch.full_like(bias, object_score))
