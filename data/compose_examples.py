"""Makes data/examples from photos inside scikit-image's own package: `python data/compose_examples.py`.

A development tool: it needs scikit-image and pillow, downloads nothing, draws no random numbers, and writes the same
pixels every time. Three photos are references; outlines drawn by hand cut their objects out, and the scenes below
paste them elsewhere, so the truth of every pasted object is known. Coins are found by their brightness instead, and
nothing is pasted. What is real and what is pasted: data/SOURCE.md.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion, binary_fill_holes, distance_transform_edt, gaussian_filter, minimum_filter
from skimage import color, data, draw, filters, morphology, segmentation, transform

EXAMPLES = Path(__file__).parent / "examples"
SCENE_HW = (480, 640)

# Outlines in pixels (x, y) of the original photo; the shuttle is taken without its stand.
CAT_XY = [
    *[(41, -3), (36, 30), (33, 60), (32, 90), (30, 105), (20, 115), (8, 122), (-3, 126), (-3, 303), (258, 303)],
    *[(263, 293), (276, 288), (289, 282), (301, 274), (311, 262), (314, 248), (316, 232), (322, 219), (335, 205)],
    *[(348, 185), (357, 162), (360, 140), (363, 115), (360, 100), (356, 80), (360, 68), (370, 50), (378, 34)],
    *[(385, 18), (399, 0), (401, -3)],
]
CUP_XY = [
    *[(184, 69), (161, 78), (142, 87), (121, 105), (100, 136), (88, 162), (79, 188), (76, 208), (78, 232), (82, 256)],
    *[(90, 278), (100, 295), (112, 312), (126, 326), (140, 339), (160, 354), (180, 365), (200, 374), (220, 382)],
    *[(240, 386), (259, 389), (289, 390), (315, 388), (337, 385), (353, 380), (370, 375), (385, 368), (400, 359)],
    *[(413, 350), (427, 340), (438, 328), (448, 315), (457, 301), (465, 288), (472, 274), (477, 258), (479, 240)],
    *[(479, 222), (478, 207), (472, 180), (461, 154), (452, 136), (442, 125), (431, 114), (419, 106), (421, 91)],
    *[(425, 78), (424, 74), (418, 69), (410, 67), (402, 68), (396, 74), (390, 65), (380, 53), (364, 39), (350, 32)],
    *[(335, 27), (319, 22), (301, 19), (282, 18), (266, 19), (250, 23), (229, 30), (211, 40), (200, 49), (191, 59)],
]
# What of the cup is not glaze: the rim with all inside it, the spoon's bowl, its tip; centre and radii.
UNGLAZED_XY = [((290.7, 112.3), (113, 91)), ((366.5, 285.5), (41, 41)), ((412, 85), (15, 24))]
SHUTTLE_XY = [
    *[(409, -4), (414, -7), (420, -7), (425, -2), (430, 7), (434, 16), (437, 27), (438, 50), (443, 40), (446, 40)],
    *[(451, 52), (454, 61), (455, 72), (455, 214), (456, 226), (455, 234), (455, 250), (459, 262), (447, 264)],
    *[(435, 262), (434, 258), (437, 250), (437, 237), (431, 236), (420, 238), (413, 241), (411, 254), (409, 259)],
    *[(403, 260), (398, 263), (391, 261), (384, 257), (386, 250), (376, 262), (371, 271), (368, 272), (366, 267)],
    *[(370, 257), (379, 238), (380, 232), (370, 231), (358, 227), (354, 222), (355, 213), (358, 206), (367, 195)],
    *[(377, 185), (378, 178), (377, 120), (380, 110), (380, 60), (385, 46), (388, 41), (391, 46), (395, 58)],
    *[(396, 50), (396, 34), (398, 22), (401, 12), (406, 1)],
]
# Parts of the photo of 24 coins: one alone, the twelve of the upper rows, and ten of the lower rows without that one.
COIN_ALONE, COINS_ABOVE, COINS_BELOW = np.s_[220:303, 0:90], np.s_[:150], np.s_[150:, 77:]


@dataclass(frozen=True)
class CutOut:
    """A thing without its surroundings: rgb (h, w, 3), alpha (h, w) and truth (h, w), all in 0..1.

    The truth is the alpha, except for a print: it is the object on the paper, not the paper.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    truth: np.ndarray


class Scene:
    """A picture that things are pasted into, and the truth (H, W) bool of each name pasted."""

    def __init__(self, background: np.ndarray):
        self.rgb = background.copy()
        self.truth: dict[str, np.ndarray] = {}

    def paste(self, thing: CutOut, name, *, centre_xy, scale, turn_deg=0.0, mirror=False, gain=1.0, shadow=0.5):
        """Scales, turns counter-clockwise and pastes; what lay there before loses those pixels of its truth."""
        # Premultiplied, so that resampling leaves no dark or light fringe.
        patch = np.dstack([thing.rgb * thing.alpha[..., None], thing.alpha, thing.truth])
        patch = patch[:, ::-1] if mirror else patch
        patch = transform.rescale(patch, scale, channel_axis=-1, anti_aliasing=scale < 1)
        patch = transform.rotate(patch, turn_deg, resize=True)

        (h, w), (scene_h, scene_w) = patch.shape[:2], self.rgb.shape[:2]
        room = max(h, w)  # around the scene, for what sticks out
        layer = np.zeros((scene_h + 2 * room, scene_w + 2 * room, 5))
        top, left = room + round(centre_xy[1] - h / 2), room + round(centre_xy[0] - w / 2)
        layer[top : top + h, left : left + w] = patch
        layer = layer[room:-room, room:-room]

        alpha = layer[..., 3]
        if shadow:
            near, far = gaussian_filter(alpha, 3), gaussian_filter(np.roll(alpha, (9, 7), (0, 1)), 9)
            self.rgb *= (1 - shadow * np.maximum(0.7 * near, far))[..., None]
        self.rgb = self.rgb * (1 - alpha[..., None]) + np.clip(layer[..., :3] * gain, 0, 1)
        self.truth = {known: mask & (alpha < 0.5) for known, mask in self.truth.items()}
        self.truth[name] = self.truth.get(name, False) | (layer[..., 4] > 0.5)


def outline_mask(outline_xy, shape_hw) -> np.ndarray:
    """The inside of a closed smooth curve through the points (h, w), soft over one pixel."""
    fine = 4
    points = np.asarray(outline_xy, float)
    inside = draw.polygon2mask((shape_hw[0] * fine, shape_hw[1] * fine), (points[:, ::-1] + 0.5) * fine)
    soft = gaussian_filter(gaussian_filter(inside.astype(float), 1.5 * fine) > 0.5, 0.6 * fine, output=float)
    return transform.downscale_local_mean(soft, (fine, fine))


def cut(photo: np.ndarray, alpha: np.ndarray) -> CutOut:
    """The object cropped to its outline; border pixels take the colour of the nearest pixel well inside."""
    inside = binary_erosion(alpha > 0.5, iterations=2)
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    rows, cols = np.nonzero(alpha > 0.01)
    box = np.s_[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    return CutOut(photo[tuple(nearest)][box], alpha[box], alpha[box])


def ellipse_mask(centre_xy, radii_xy, shape_hw) -> np.ndarray:
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    distance = np.hypot((x - centre_xy[0]) / radii_xy[0], (y - centre_xy[1]) / radii_xy[1])
    return np.clip((1 - distance) * min(radii_xy) + 0.5, 0, 1)


def reglazed(coffee: np.ndarray, hue_shift: float) -> np.ndarray:
    """The coffee photo with its hues turned, for a look-alike cup; porcelain, coffee and spoon keep theirs."""
    hsv = color.rgb2hsv(coffee) * (1, 0.85, 1)
    hsv[..., 0] = (hsv[..., 0] + hue_shift) % 1
    kept = np.max([ellipse_mask(*ellipse, coffee.shape[:2]) for ellipse in UNGLAZED_XY], axis=0)[..., None]
    return coffee * kept + color.hsv2rgb(hsv) * (1 - kept)


def tinted(grey: np.ndarray, dark: str, light: str, *, crop_xy=(0, 0), quarter_turns=0) -> np.ndarray:
    """A grey texture as a 640x480 colour picture, from `dark` to `light`, a little darker towards the corners."""
    grey = np.rot90(grey, quarter_turns) / 255
    crop = grey[crop_xy[1] : crop_xy[1] + 384, crop_xy[0] : crop_xy[0] + 512]
    low, high = np.percentile(crop, (0.5, 99.5))
    crop = np.clip((transform.resize(crop, SCENE_HW, order=3) - low) / (high - low), 0, 1)[..., None]
    ends = [np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for code in (dark, light)]
    y, x = np.mgrid[-1 : 1 : SCENE_HW[0] * 1j, -1 : 1 : SCENE_HW[1] * 1j]
    return (ends[0] * (1 - crop) + ends[1] * crop) * (1.04 - 0.16 * (x**2 + y**2))[..., None]


def printed(photo: np.ndarray, alpha: np.ndarray, *, border_px=16, paper=(0.95, 0.94, 0.91)) -> CutOut:
    """A photo as a thing: a print with a border, or a picture in a frame."""
    rgb = np.dstack([np.pad(photo[..., i], border_px, constant_values=paper[i]) for i in range(3)])
    return CutOut(rgb, np.ones(rgb.shape[:2]), np.pad(alpha, border_px))


def coin_mask(coins: np.ndarray) -> np.ndarray:
    """All coins (h, w) bool; they do not touch. Bright seeds grow to the strongest edge around them."""
    ground = gaussian_filter(minimum_filter(gaussian_filter(coins, 4, output=float), 75), 20)
    brighter = gaussian_filter(coins, 1, output=float) - ground
    seeds = np.select([brighter > 75, brighter < 28], [2, 1])
    grown = segmentation.watershed(filters.sobel(coins), seeds) == 2
    return morphology.opening(binary_fill_holes(grown), morphology.disk(6))


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """A photo in 0..1 or a mask (bool, edges smoothed) at a multiple of its size."""
    size = (image.shape[0] * factor, image.shape[1] * factor)
    larger = np.clip(transform.resize(image.astype(float), size, order=3), 0, 1)
    return larger > 0.5 if image.dtype == bool else larger


def in_colour(image: np.ndarray) -> np.ndarray:
    return (np.dstack([image] * 3) if image.ndim == 2 else image) / 255


def main():
    chelsea, coffee = in_colour(data.chelsea()), in_colour(data.coffee())
    astronaut, camera = in_colour(data.astronaut()), in_colour(data.camera())
    hubble = in_colour(data.hubble_deep_field())[100:580, 60:700]

    cat_alpha = outline_mask(CAT_XY, chelsea.shape[:2])
    cup_alpha = outline_mask(CUP_XY, coffee.shape[:2])
    room = 10  # the photo cuts off the tip of the shuttle's tank: its first row is repeated above
    taller = np.pad(astronaut, ((room, 0), (0, 0), (0, 0)), mode="edge")
    shuttle_alpha = outline_mask([(x, y + room) for x, y in SHUTTLE_XY], taller.shape[:2])
    cat, cup, shuttle = cut(chelsea, cat_alpha), cut(coffee, cup_alpha), cut(taller, shuttle_alpha)
    blue, green = (cut(reglazed(coffee, hue_shift), cup_alpha) for hue_shift in (0.58, 0.38))

    gravel = tinted(data.gravel(), "#2a2622", "#f2e8d8")
    gravel_2 = tinted(data.gravel(), "#23262b", "#e4e8ee", crop_xy=(0, 128))
    lawn = tinted(data.grass(), "#0d2107", "#b4cf6c")
    lawn_2 = tinted(data.grass(), "#141f08", "#c6cf74", crop_xy=(0, 128))
    paving = tinted(data.brick(), "#5a2a1e", "#dcbfa6")
    wall = tinted(data.brick(), "#62281c", "#e0c4ac", quarter_turns=1)

    scenes = {name: Scene(ground) for name, ground in {
        "gravel_cup": gravel, "lawn_cup": lawn, "picnic": lawn_2, "gallery": wall, "space": hubble,
        "campus": camera, "toys": gravel_2, "paving_cups": paving, "mixed_cups": gravel, "other_cups": lawn,
    }.items()}  # fmt: skip

    s = scenes["gravel_cup"]
    s.paste(blue, "other", centre_xy=(500, 150), scale=0.52, turn_deg=-35)
    s.paste(cup, "cup", centre_xy=(225, 280), scale=0.66, turn_deg=24)
    scenes["lawn_cup"].paste(cup, "cup", centre_xy=(410, 215), scale=0.48, turn_deg=-18, mirror=True, gain=0.85)

    s = scenes["picnic"]
    s.paste(printed(chelsea, cat_alpha), "cat", centre_xy=(235, 205), scale=0.72, turn_deg=9)
    s.paste(cup, "cup", centre_xy=(500, 345), scale=0.5, turn_deg=-30)

    s = scenes["gallery"]
    wood = (0.13, 0.09, 0.07)
    framed_camera = printed(camera, np.ones(camera.shape[:2]), border_px=22, paper=wood)
    framed_cat = printed(chelsea, cat_alpha, border_px=22, paper=wood)
    s.paste(framed_camera, "other", centre_xy=(150, 220), scale=0.4)
    s.paste(framed_cat, "cat", centre_xy=(440, 230), scale=0.66, mirror=True, gain=0.92)

    # The photo cuts the cat at three sides, so the picture must cut it there too: its back lies 110 px outside.
    garden = gaussian_filter(transform.resize(lawn[60:300, 100:420], SCENE_HW), (9, 9, 0))
    s = scenes["garden"] = Scene(garden * np.linspace(1.5, 0.7, SCENE_HW[0])[:, None, None])
    s.paste(cat, "cat", centre_xy=(750 - 0.5 * cat.alpha.shape[1] * 1.62, 240), scale=1.62, mirror=True, shadow=0)

    scenes["space"].paste(shuttle, "shuttle", centre_xy=(330, 245), scale=1.25, turn_deg=-28, shadow=0)
    s = scenes["campus"]
    s.paste(shuttle, "shuttle", centre_xy=(345, 76), scale=0.45, turn_deg=-18, shadow=0, gain=0.95)
    s.rgb = np.dstack([color.rgb2gray(s.rgb)] * 3)

    s = scenes["toys"]
    s.paste(shuttle, "shuttle", centre_xy=(215, 235), scale=1.05, turn_deg=62, shadow=0.6)
    s.paste(cup, "cup", centre_xy=(500, 330), scale=0.52, turn_deg=100, gain=0.9)

    s = scenes["paving_cups"]
    s.paste(cup, "cup", centre_xy=(140, 120), scale=0.4, turn_deg=40)
    s.paste(cup, "cup", centre_xy=(465, 150), scale=0.46, turn_deg=-50, mirror=True)
    s.paste(cup, "cup", centre_xy=(290, 350), scale=0.56, turn_deg=5)

    s = scenes["mixed_cups"]
    for thing, name, centre_xy, turn_deg in (
        *[(cup, "cup", (150, 125), -20), (blue, "other", (430, 115), 60)],
        *[(green, "other", (190, 355), 15), (cup, "cup", (475, 350), 140)],
    ):
        s.paste(thing, name, centre_xy=centre_xy, scale=0.5, turn_deg=turn_deg)

    s = scenes["other_cups"]
    s.paste(green, "other", centre_xy=(200, 190), scale=0.5, turn_deg=-12)
    s.paste(blue, "other", centre_xy=(460, 300), scale=0.56, turn_deg=30, mirror=True)

    coins, of_coins = in_colour(data.coins()), coin_mask(data.coins())
    parts = {
        "coin": (enlarged(coins[COIN_ALONE], 4), enlarged(of_coins[COIN_ALONE], 4)),
        "coins": (enlarged(coins[COINS_ABOVE], 2), enlarged(of_coins[COINS_ABOVE], 2)),
        "coins_turned": (enlarged(coins[COINS_BELOW][::-1, ::-1], 2), enlarged(of_coins[COINS_BELOW][::-1, ::-1], 2)),
    }

    real = {"chelsea": chelsea, "coffee": coffee, "astronaut": astronaut, "camera": camera, "hubble": hubble}
    real |= {name: photo for name, (photo, _) in parts.items()}
    truths = {name: scene.truth for name, scene in scenes.items()}
    truths |= {name: {"coin": mask} for name, (_, mask) in parts.items()}
    for name, photo in (real | {name: scene.rgb for name, scene in scenes.items()}).items():
        save(f"photos/{name}.jpg", photo)
    save("masks/cat.png", cat_alpha > 0.5)
    save("masks/cup.png", cup_alpha > 0.5)
    save("masks/shuttle.png", shuttle_alpha[room:] > 0.5)
    save("masks/coin.png", truths["coin"]["coin"])

    albums = []
    for name, thing, reference, targets in (
        ("cat", "cat", "chelsea", ("picnic", "gallery", "garden", "coffee", "astronaut")),
        ("cup", "cup", "coffee", ("gravel_cup", "lawn_cup", "picnic", "chelsea", "other_cups")),
        ("shuttle", "shuttle", "astronaut", ("space", "campus", "toys", "hubble", "camera")),
        ("cups", "cup", "coffee", ("paving_cups", "mixed_cups", "toys", "other_cups")),
        ("coins", "coin", "coin", ("coins", "coins_turned", "camera", "coffee")),
    ):
        rows = []
        for target in targets:
            present = thing in truths.get(target, {})
            if present:
                save(f"truth/{target}_{thing}.png", truths[target][thing])
            rows.append({
                "photo": f"photos/{target}.jpg",
                "truth": f"truth/{target}_{thing}.png" if present else None,
                "present": present,
                "composed": target in scenes,
            })  # fmt: skip
        albums.append({
            "name": name, "reference": f"photos/{reference}.jpg", "mask": f"masks/{thing}.png",
            "every": name in ("cups", "coins"), "targets": rows,
        })  # fmt: skip
    (EXAMPLES / "index.json").write_text(json.dumps({"albums": albums}, indent=2) + "\n")


def save(name: str, image: np.ndarray):
    path = EXAMPLES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
    picture.save(path, **({"quality": 90} if path.suffix == ".jpg" else {"optimize": True}))


if __name__ == "__main__":
    main()
