"""The losses of nano: SAM's masks and predicted IoU, a location map, and features that tell objects apart."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mask_losses(logits: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """20 focal + Dice (SAM, appendix A) of every candidate mask.

    Args:
        logits: prompts x masks x h x w.
        cover: prompts x h x w, 0..1.
        weight: prompts x h x w, 0 where a pixel counts neither way.

    Returns: prompts x masks.
    """
    truth, counted = cover[:, None], weight[:, None]
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none")
    error = (probability - truth).abs()
    balance = 0.25 * truth + 0.75 * (1 - truth)
    focal = (balance * error.square() * entropy * counted).mean((-2, -1))
    overlap = (probability * truth * counted).sum((-2, -1))
    total = ((probability + truth) * counted).sum((-2, -1))
    return 20 * focal + 1 - (2 * overlap + 1) / (total + 1)


def iou(logits: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """Intersection over union of every candidate at threshold 0: prompts x masks."""
    truth, counted = cover[:, None] > 0.5, weight[:, None] > 0
    found = logits > 0
    intersection = (found & truth & counted).sum((-2, -1))
    union = ((found | truth) & counted).sum((-2, -1))
    return intersection / union.clamp(min=1)


def segmentation_loss(logits: Tensor, predicted_iou: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
    """Per prompt: the best of the three masks, the single mask, and the regression of each mask's IoU."""
    losses = mask_losses(logits, cover, weight)
    best_of_three = losses[:, 1:].min(1).values + 0.05 * losses[:, 1:].mean(1)
    regression = (predicted_iou - iou(logits.detach(), cover, weight)).square().mean(1)
    return best_of_three + 0.5 * losses[:, 0] + regression


class LocationLoss(nn.Module):
    """An object's mean feature in one view must locate it in the other view.

    Two terms on the cosine between that mean and every patch: a balanced binary cross entropy (with learned scale and
    offset), and the cross entropy of the peak: the most similar patch of all should lie inside the object, with the
    patches of every other photo of the batch as further candidates.
    """

    INNER = 0.75  # share of the most that the object covers around any patch, from which on a patch is an inner one

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.offset = nn.Parameter(torch.tensor(-4.0))

    def forward(
        self, features: Tensor, cover: Tensor, weight: Tensor, partner: Tensor, twin: Tensor, *, inner: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The loss, and the share of objects whose peak in the partner's view falls inside.

        Args:
            features: images x c x h x w.
            cover: images x objects x h x w, the share of each patch that the object covers.
            weight: images x h x w, the share of each patch that counts.
            partner: images, the index of the other view of the same photo.
            twin: images, whether the objects are there a second time: then no patch outside them is a negative.
            inner: the peak should lie well inside: a point on an edge is as good a prompt for a part as for the whole.
        """
        images, objects = cover.shape[:2]
        patches = F.normalize(features.flatten(2), dim=1)
        concepts = target_features(features, cover)
        similarity = torch.einsum("ioc,jcn->iojn", F.normalize(concepts, dim=-1), patches)
        logits = similarity * self.log_scale.exp() + self.offset
        own = torch.arange(images, device=features.device)
        inside_partner = cover[partner].flatten(2) > 0.5
        outside_partner = (cover[partner].flatten(2) < 0.1) & (weight[partner].flatten(1)[:, None] > 0.5)
        outside_partner = outside_partner & ~twin[partner][:, None, None]
        valid = (cover.amax((-2, -1)) > 0.5) & inside_partner.any(-1)
        if not valid.any():
            return logits.sum() * 0, torch.tensor(float("nan"))
        in_partner = logits[own, :, partner]
        positive = _mean(F.softplus(-in_partner), inside_partner)
        negative = _mean(F.softplus(in_partner), outside_partner)
        elsewhere = torch.ones(images, images, dtype=torch.bool, device=features.device)
        elsewhere[own, own] = elsewhere[own, partner] = False
        foreign = F.softplus(logits).mean(-1).transpose(1, 2)[elsewhere].reshape(images, -1, objects)
        foreign = foreign.mean(1) if images > 2 else foreign.sum(1)  # one photo alone: nothing is foreign to it
        shared = logits.masked_fill(~elsewhere[:, None, :, None], float("-inf")).flatten(2)
        candidates = torch.cat([in_partner.masked_fill(~(inside_partner | outside_partner), -1e4), shared], dim=-1)
        wanted = inside_partner & self._inner_patches(cover[partner]).flatten(2) if inner else inside_partner
        peak = candidates.logsumexp(-1) - in_partner.masked_fill(~wanted, -1e4).logsumexp(-1)
        loss = (positive + negative + 0.5 * foreign + 0.5 * peak)[valid].mean()
        found = inside_partner.gather(-1, in_partner.argmax(-1, keepdim=True))[..., 0]
        return loss, found[valid].float().mean()

    def _inner_patches(self, cover: Tensor) -> Tensor:
        around = F.avg_pool2d(cover, 3, stride=1, padding=1)
        most = around.masked_fill(cover <= 0.5, 0).amax((-2, -1), keepdim=True)
        return around >= self.INNER * most


def identity_loss(features: Tensor, cover: Tensor, partner: Tensor) -> Tensor:
    """An object's mean features in two views must be more similar than those of any two objects.

    A binary cross entropy on the cosine of every pair of objects across views, which crosses one half at cosine 0.6.
    Pairs that overlap within one photo (a whole and its part) count neither way; two things side by side in one photo
    are the hardest negatives.

    Args:
        features: images x c x h x w.
        cover: images x objects x h x w, the share of each patch that the object covers.
        partner: images, the index of the other view of the same photo.
    """
    images, objects = cover.shape[:2]
    concepts = F.normalize(target_features(features, cover), dim=-1).flatten(0, 1)
    logits = 12 * (concepts @ concepts.T - 0.6)
    seen = (cover.amax((-2, -1)) > 0.5).flatten()
    own = torch.arange(images, device=features.device)
    photo = (own // 2).repeat_interleave(objects)
    area = cover.sum((-2, -1))
    shared = torch.minimum(cover[:, :, None], cover[:, None]).sum((-2, -1))
    overlap = shared / torch.minimum(area[:, :, None], area[:, None]).clamp(min=1e-6)
    apart = torch.zeros(images, objects, images, objects, dtype=torch.bool, device=features.device)
    same = torch.zeros_like(apart)
    apart[own, :, partner] = overlap < 0.05
    same[own, :, partner] = torch.eye(objects, dtype=torch.bool, device=features.device)
    apart = apart.flatten(2).flatten(0, 1) | (photo[:, None] != photo)
    same = same.flatten(2).flatten(0, 1)
    both_seen = seen[:, None] & seen
    if not (same & both_seen).any() or not (apart & both_seen).any():
        return logits.sum() * 0
    different = F.softplus(logits[apart & both_seen])
    hardest = different.topk(max(1, len(different) // 8)).values
    return F.softplus(-logits[same & both_seen]).mean() + hardest.mean()


class Strangers(nn.Module):
    """A memory bank of objects of earlier steps, as further negatives (as in Wu et al., CVPR 2018).

    A step sees a handful of photos, seldom two of a kind; the bank holds a thousand objects, so that a car meets other
    cars. The loss is the cross entropy of every patch of an object over its own mean feature (from the other view) and
    those of all the strangers.
    """

    SHARPNESS = 12.0
    concepts: Tensor
    photos: Tensor
    met: Tensor

    def __init__(self, width: int, count: int = 1024):
        super().__init__()
        self.register_buffer("concepts", torch.zeros(count, width))
        self.register_buffer("photos", torch.full((count,), -1))
        self.register_buffer("met", torch.zeros((), dtype=torch.long))

    def forward(self, features: Tensor, cover: Tensor, partner: Tensor, photo: Tensor, thing: Tensor) -> Tensor:
        """The loss of the things among the images; then they enter the bank themselves.

        Args:
            features: images x c x h x w.
            cover: images x objects x h x w, the share of each patch that the object covers.
            partner: images, the index of the other view of the same photo.
            photo: images, a number for each photo, at least 0.
            thing: images, whether their masks are things rather than regions.
        """
        patches = F.normalize(features.flatten(2), dim=1)
        concepts = F.normalize(target_features(features, cover), dim=-1)
        own = self.SHARPNESS * torch.einsum("ioc,icn->ion", concepts[partner], patches)
        strangers = self.concepts.clone()  # the bank changes before backward
        others = self.SHARPNESS * torch.einsum("qc,icn->iqn", strangers, patches)
        known = (self.photos >= 0) & (self.photos != photo[:, None])
        others = others.masked_fill(~known[..., None], float("-inf")).logsumexp(1)
        inside = (cover.flatten(2) > 0.5) & (cover[partner].amax((-2, -1)) > 0.5)[..., None] & thing[:, None, None]
        loss = F.softplus(others[:, None] - own)[inside].mean() if inside.any() else own.sum() * 0
        self._meet(concepts.detach(), cover, photo, thing)
        return loss

    @torch.no_grad()
    def _meet(self, concepts: Tensor, cover: Tensor, photo: Tensor, thing: Tensor) -> None:
        seen = (cover.amax((-2, -1)) > 0.5) & thing[:, None]
        count = len(self.photos)
        new, of = concepts[seen][:count], photo[:, None].expand_as(seen)[seen][:count]
        place = (self.met + torch.arange(len(new), device=new.device)) % count
        self.concepts[place], self.photos[place] = new, of
        self.met += len(new)


def target_features(features: Tensor, cover: Tensor) -> Tensor:
    """Mean feature of the patches an object covers by half, or of the most covered ones: images x objects x c."""
    threshold = (0.5 * cover.amax((-2, -1), keepdim=True)).clamp(max=0.5)
    inside = ((cover >= threshold) & (cover > 0)).float()
    pooled = torch.einsum("ichw,iohw->ioc", features, inside)
    return pooled / inside.sum((-2, -1)).clamp(min=1)[..., None]


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum(-1) / where.sum(-1).clamp(min=1)
