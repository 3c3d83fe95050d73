"""Gradients reach exactly what should learn, at every precision and compiled."""

import shutil

import pytest
import torch

from sac_wsi.model.nets.sac import FAMILY_LEARNS

FAMILIES = ("sac", "msa", "sam-ft", "sam", "unet")


def everything(model, rgb):
    """A number that depends on every part: all masks, their IoU, points, boxes and mask prompts, the maps."""
    images = model.normalise(rgb)
    total = model.maps(images).square().mean() if model.prompter is not None else torch.zeros(())
    if model.image_encoder is None:
        return total
    embedding = model.encode(images)
    xy = torch.tensor([[[5.0, 9.0], [40.0, 33.0], [0.0, 0.0]]]).expand(2, -1, -1)
    labels = torch.tensor([[1, 0, -1]]).expand(2, -1)
    boxes = torch.tensor([[2.0, 2.0, 30.0, 30.0]]).expand(2, -1)
    mask = torch.randn(2, 1, 32, 32)
    for some in ({}, {"boxes": boxes}, {"mask_logits": mask}):
        masks, iou = model.decode(embedding, xy, labels, **some)
        total = total + masks.square().mean() + iou.square().mean()
    return total


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_what_learns_and_nothing_else(make_model, rgb, family):
    model = make_model(family).train()
    total = everything(model, rgb)
    if family == "sam":
        assert not total.requires_grad
        return
    total.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    learns = {name for name, _ in model.trainable()}
    assert moved == learns
    encoder = {name for name in learns if name.startswith("image_encoder.")}
    wanted = FAMILY_LEARNS[family]
    assert all(any(part in name for part in wanted) for name in encoder)
    assert bool(encoder) == bool(wanted)


@pytest.mark.parametrize("family", ["sac", "msa"])
def test_bf16_agrees_with_float32(make_model, rgb, family):
    model = make_model(family)
    xy, labels = torch.tensor([[[20.0, 20.0]]]).expand(2, -1, -1), torch.ones(2, 1)
    with torch.no_grad():
        plain = model(model.normalise(rgb), xy, labels)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(model.normalise(rgb), xy, labels)
    assert (plain - mixed).abs().max() < 0.05 * plain.abs().max()


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, at its first compilation
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_compiled_agrees_with_eager(make_model, rgb, backend):
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("no C++ compiler here")
    model = make_model("sac")
    with torch.no_grad():
        images = model.normalise(rgb)
        eager = model.encode(images)
        compiled = torch.compile(model.image_encoder, backend=backend)(images)
    torch.testing.assert_close(compiled, eager, atol=1e-4, rtol=1e-4)
