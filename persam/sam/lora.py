"""SAMed's LoRA files (Zhang & Liu, 2023, arXiv 2304.13785), merged into the SAM that they were trained on.

Such a file holds `w_a_000`, `w_b_000`, ...: low-rank pairs for q and v of every block in turn, (r, width) and
(width, r), beside the whole prompt encoder and mask decoder. Merged into the weights of qkv, they cost nothing.
The variant that adapts the decoder's attention too (`sa_`, `cti_`, `cit_`, `fati_`) is merged the same way.

SAMed's decoder has a mask for every class of its data set instead of SAM's single, whole, part and subpart, and answers
no prompts. With another number of masks than SAM's, it and its prompt encoder are therefore left out whole (they were
tuned together), and the base model's answer; with SAM's number of masks they are taken over.

SAMed trains at a 512-pixel input on grey values from 0 to 1 without further normalisation, and cuts the base's position
embeddings to the smaller grid. The merged model does the same, since its pairs were fitted to that.
"""

from collections.abc import Iterator, Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from persam.errors import WeightsError
from persam.sam.vit import name_of_width, sizes_of

SIGNATURE = "w_a_000"

PIXELS = "unit"
INPUT_SIZE = 512
DECODER_PAIRS = {
    "sa": "self_attn",
    "cti": "cross_attn_token_to_image",
    "cit": "cross_attn_image_to_token",
}
OWN_PREFIXES = ("w_a_", "w_b_", "sa_", "cti_", "cit_", "fati_")
TUNED = ("prompt_encoder.", "mask_decoder.")


def base_name(lora: Mapping[str, Tensor]) -> str:
    """The named SAM that a file was trained on, told by the width of its pairs.

    Raises:
        WeightsError: no named SAM is that wide.
    """
    return name_of_width(lora[SIGNATURE].shape[1])


def merge(base: Mapping[str, Tensor], lora: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a plain SAM that computes what the base and the pairs compute together, at SAMed's input size.

    Raises:
        WeightsError: the pairs do not belong to this base, or the file holds something else beside them.
    """
    _check(base, lora)
    merged = dict(base)
    if _answers_prompts(base, lora):
        merged |= {name: value for name, value in lora.items() if name.startswith(TUNED)}
    for name, rows, update in _updates(base, lora):
        merged[name] = merged[name].float().clone()
        merged[name][rows] += update
    return _at_input_size(merged, INPUT_SIZE)


def _updates(base: Mapping[str, Tensor], lora: Mapping[str, Tensor]) -> Iterator[tuple[str, slice, Tensor]]:
    """Weight, its rows, and what is added to them. One weight can come twice: q and v share qkv."""
    sizes = sizes_of(base)
    rows = (slice(0, sizes.width), slice(2 * sizes.width, 3 * sizes.width))  # of q and v in qkv
    for i in range(2 * sizes.depth):
        yield (
            f"image_encoder.blocks.{i // 2}.attn.qkv.weight",
            rows[i % 2],
            _product(lora, f"w_a_{i:03d}", f"w_b_{i:03d}"),
        )
    if not _answers_prompts(base, lora):
        return
    whole = slice(None)
    for key, attention in DECODER_PAIRS.items():
        for i in range(sum(name.startswith(f"{key}_a_") for name in lora)):
            target = f"mask_decoder.transformer.layers.{i // 2}.{attention}.{'qv'[i % 2]}_proj.weight"
            yield target, whole, _product(lora, f"{key}_a_{i:03d}", f"{key}_b_{i:03d}")
    if "fati_qa" in lora:
        for part in "qv":
            target = f"mask_decoder.transformer.final_attn_token_to_image.{part}_proj.weight"
            yield target, whole, _product(lora, f"fati_{part}a", f"fati_{part}b")


def _product(lora: Mapping[str, Tensor], a: str, b: str) -> Float[Tensor, "out in"]:
    return lora[b].float() @ lora[a].float()


def _answers_prompts(base: Mapping[str, Tensor], lora: Mapping[str, Tensor]) -> bool:
    tokens = "mask_decoder.mask_tokens.weight"
    return tokens in lora and lora[tokens].shape == base[tokens].shape


def _check(base: Mapping[str, Tensor], lora: Mapping[str, Tensor]) -> None:
    sizes = sizes_of(base)
    expected = {f"w_{side}_{i:03d}" for side in "ab" for i in range(2 * sizes.depth)}
    found = {name for name in lora if name.startswith(("w_a_", "w_b_"))}
    width = lora[SIGNATURE].shape[1]
    if found != expected or width != sizes.width:
        raise WeightsError(
            f"it holds {len(found)} LoRA tensors of width {width}, and a base of {sizes.depth} blocks and width "
            f"{sizes.width} takes {len(expected)}: give the SAM that it was trained on as `base`."
        )
    if unexpected := sorted(name for name in lora if not name.startswith(OWN_PREFIXES + TUNED)):
        raise WeightsError(
            f"beside SAMed's LoRA pairs it holds {len(unexpected)} unexpected tensors ({', '.join(unexpected[:4])}). "
            "Save the pairs, the prompt encoder and the mask decoder alone, as SAMed's save_lora_parameters does."
        )


def _at_input_size(tensors: dict[str, Tensor], input_size: int) -> dict[str, Tensor]:
    """The same SAM for another input size: positions resized bilinearly, as SAMed starts its training."""
    sizes = sizes_of(tensors)
    grid = input_size // sizes.patch
    if input_size == sizes.input_size:
        return tensors
    absolute = "image_encoder.pos_embed"
    channels_first = tensors[absolute].float().permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first, (grid, grid), mode="bilinear", align_corners=False)
    tensors = tensors | {absolute: resized.permute(0, 2, 3, 1).contiguous()}
    for block in sizes.global_blocks:
        for axis in "hw":
            name = f"image_encoder.blocks.{block}.attn.rel_pos_{axis}"
            along = tensors[name].float().T[None]
            tensors[name] = F.interpolate(along, 2 * grid - 1, mode="linear", align_corners=False)[0].T.contiguous()
    return tensors
