"""Every model that has a name: where its file comes from, its size, checksum and licence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Where one model's file comes from; `sha256` and `size_bytes` are of the whole file.

    url: None for what is part of the package, at `persam/models/<file_name>`.
    """

    name: str
    file_name: str
    url: str | None
    sha256: str | None
    size_bytes: int | None
    licence: str
    about: str


_META = "https://dl.fbaipublicfiles.com/segment_anything/"
_MOBILE_SAM = "https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/"

TABLE: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "nano",
            "nano.safetensors",
            None,
            "a3bfe06e7adac622725981b2959763be52bb2acedfaf4512aaab778d00646386",
            9_226_632,
            "Apache-2.0",
            "bundled, 640-pixel input",
        ),
        Source(
            "vit_t",
            "mobile_sam.pt",
            _MOBILE_SAM + "mobile_sam.pt",
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            40_728_226,
            "Apache-2.0",
            "MobileSAM",
        ),
        Source(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            _META + "sam_vit_b_01ec64.pth",
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            375_042_383,
            "Apache-2.0",
            "SAM, ViT-B",
        ),
        Source(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            _META + "sam_vit_l_0b3195.pth",
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            1_249_524_607,
            "Apache-2.0",
            "SAM, ViT-L",
        ),
        Source(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            _META + "sam_vit_h_4b8939.pth",
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            2_564_550_879,
            "Apache-2.0",
            "SAM, ViT-H: the paper's",
        ),
    )
}
