"""Ours against Meta's own ``Sam``, and weights that fit or do not."""

import pickle

import pytest
import torch
from segment_anything.modeling import Sam

from sac_wsi.errors import CheckpointError
from sac_wsi.model.nets.sac import build_model, load_sam, sam_state, to_tile
from sac_wsi.model.nets.sam import build_encoder, build_sam, read_sam_file
from sac_wsi.model.nets.sizes import ModelSize

POINTS = torch.tensor([[[5.0, 9.0], [40.0, 33.0], [60.0, 2.0]]])
LABELS = torch.tensor([[1, 0, 1]])


@pytest.fixture
def sam() -> Sam:
    torch.manual_seed(3)
    sam = build_sam("vit_nano", 64)
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return sam.eval()


def loaded(sam, family="sac", **options):
    model = build_model(ModelSize(family, "vit_nano", 64), **options).eval()
    load_sam(model, sam.state_dict(), "a test")
    return model


@pytest.mark.parametrize(("exact", "tolerance"), [(False, 1e-5), (True, 1e-4)])
@pytest.mark.parametrize("family", ["sac", "msa", "sam-ft", "sam"])
def test_at_the_start_every_model_is_sam(sam, rgb, family, exact, tolerance):
    """Same image, same points: the logits of Meta's own forward."""
    model = loaded(sam, family, exact_attention=exact)
    record = {"image": rgb[0], "original_size": (64, 64), "point_coords": POINTS, "point_labels": LABELS}
    theirs = sam([record], multimask_output=False)[0]
    with torch.no_grad():
        masks, iou = model.decode(model.encode(model.normalise(rgb[:1])), POINTS, LABELS)
    torch.testing.assert_close(masks[:, :1], theirs["low_res_logits"], atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(iou[:, :1], theirs["iou_predictions"], atol=tolerance, rtol=tolerance)
    assert (to_tile(masks[:, :1], 64) > 0).float().sub(theirs["masks"].float()).abs().mean() < 0.01


def test_without_points_as_in_the_rows_without_prompts(sam, rgb):
    model = loaded(sam)
    record = {"image": rgb[0], "original_size": (64, 64)}
    theirs = sam([record], multimask_output=True)[0]
    with torch.no_grad():
        embedding = model.encode(model.normalise(rgb[:1]))
        masks, _ = model.decode(embedding, torch.zeros(1, 0, 2), torch.zeros(1, 0))
    torch.testing.assert_close(masks[:, 1:], theirs["low_res_logits"], atol=1e-4, rtol=1e-4)


def test_a_batch_is_its_images_one_by_one(sam, rgb):
    model = loaded(sam)
    xy, labels = torch.cat([POINTS, POINTS.flip(2)]), torch.cat([LABELS, 1 - LABELS])
    with torch.no_grad():
        both = model(model.normalise(rgb), xy, labels)
        one = [model(model.normalise(rgb[i : i + 1]), xy[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(both, torch.cat(one), atol=1e-4, rtol=1e-4)


def test_positions_follow_the_tile_size(sam):
    """As ``get_rel_pos`` interpolates when it is asked for a size that it has no table for."""
    other = build_model(ModelSize("sam", "vit_nano", 96))
    load_sam(other, sam.state_dict(), "a test")
    assert other.image_encoder.pos_embed.shape == (1, 12, 12, 32)
    assert other.image_encoder.blocks[1].attn.rel_pos_h.shape == (23, 16)
    # the table that segment-anything would make of ours on the fly
    from segment_anything.modeling.image_encoder import get_rel_pos

    on_the_fly = get_rel_pos(12, 12, sam.image_encoder.blocks[1].attn.rel_pos_h)
    ours = get_rel_pos(12, 12, other.image_encoder.blocks[1].attn.rel_pos_h)
    torch.testing.assert_close(ours, on_the_fly)


@pytest.mark.parametrize("encoder", ["vit_b", "vit_l", "vit_h"])
def test_names_and_shapes_are_metas(encoder):
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        theirs = sam_model_registry[encoder]().state_dict()
        ours = sam_state(build_model(ModelSize("sac", encoder)))
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_what_does_not_fit_is_named(sam):
    model = build_model(ModelSize("sam", "vit_nano", 64))
    state = sam.state_dict()
    del state["mask_decoder.iou_token.weight"]
    state["mask_decoder.extra"] = torch.zeros(1)
    state["image_encoder.neck.0.weight"] = torch.zeros(3, 3)
    with pytest.raises(CheckpointError) as caught:
        load_sam(model, state, "x.pth")
    for word in (
        "x.pth",
        "1 missing (mask_decoder.iou_token",
        "1 unexpected (mask_decoder.extra",
        "1 misshapen",
    ):
        assert word in str(caught.value)


def test_nan_in_weights_is_refused(sam):
    state = sam.state_dict()
    state["image_encoder.neck.0.weight"][0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"NaN or infinity in image_encoder\.neck\.0\.weight"):
        load_sam(build_model(ModelSize("sam", "vit_nano", 64)), state, "x.pth")


def test_a_file_of_meta_is_read(sam, tmp_path):
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    assert read_sam_file(tmp_path / "sam.pth").keys() == sam.state_dict().keys()


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (exec, (f"open({str(self.mark)!r}, 'w')",))


@pytest.mark.parametrize("write", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_code_in_a_pickle_is_not_run(tmp_path, write):
    write(Bomb(tmp_path / "ran"), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"x\.pth"):
        read_sam_file(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


def test_truncated_foreign_and_missing_files(sam, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(sam.state_dict(), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello", whole[:20]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"x\.pth"):
            read_sam_file(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(CheckpointError, match="no table of tensors"):
        read_sam_file(path)
    with pytest.raises(CheckpointError, match="models fetch"):
        read_sam_file(tmp_path / "none.pth")


def test_an_encoder_at_a_wrong_size_is_not_run(make_model):
    with pytest.raises(ValueError, match=r"needed \(B, 3, 64, 64\)"):
        make_model().encode(torch.zeros(1, 3, 60, 64))


def test_encoders_are_metas_class():
    assert type(build_encoder("vit_nano", 64)).__name__ == "ImageEncoderViT"
