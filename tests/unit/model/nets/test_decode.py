import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.model.nets.decode import decode_locally, embed_prompts, window_corners, windows


@pytest.fixture
def parts(make_model, rgb):
    model = make_model("sam")
    with torch.no_grad():
        return model, model.encode(model.normalise(rgb[:1]))


XY = torch.tensor([[[5.0, 9.0]], [[40.0, 33.0]], [[60.0, 2.0]]])
LABELS = torch.ones(3, 1)
ONE_TILE = torch.zeros(3, dtype=torch.long)


def test_a_window_as_large_as_the_embedding_is_the_stock_decoder(parts):
    model, embedding = parts
    with torch.no_grad():
        stock, stock_iou = model.mask_decoder.predict_masks(
            embedding, model.position(), *model.prompt_encoder((XY, LABELS), None, None)
        )
        corners = window_corners(XY[:, 0], 8, (8, 8), 8)
        local, iou = decode_locally(
            model.mask_decoder,
            embedding,
            ONE_TILE,
            model.position(),
            embed_prompts(model.prompt_encoder, XY, LABELS),
            corners,
            8,
        )
    assert (corners == 0).all()
    torch.testing.assert_close(local, stock, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(iou, stock_iou, atol=1e-5, rtol=1e-5)


def test_a_mask_prompt_is_cut_with_its_window(parts):
    model, embedding = parts
    mask = torch.randn(1, 1, 32, 32)
    prompted = embed_prompts(model.prompt_encoder, XY, LABELS, mask_logits=mask)
    with torch.no_grad():
        whole, _ = decode_locally(
            model.mask_decoder, embedding, ONE_TILE, model.position(), prompted, torch.zeros(3, 2).long(), 8
        )
        stock, _ = model.mask_decoder.predict_masks(embedding, model.position(), *_twice(prompted))
    torch.testing.assert_close(whole, stock, atol=1e-5, rtol=1e-5)


def _twice(prompted):
    return prompted.tokens, prompted.dense.expand(len(prompted.tokens), -1, -1, -1)


@given(x=st.floats(0, 63), y=st.floats(0, 63), window=st.integers(1, 8), height=st.integers(8, 12))
def test_windows_lie_inside_and_hold_their_point(x, y, window, height):
    corner = window_corners(torch.tensor([[x, y]]), 8, (height, 8), window)[0]
    row, column = corner.tolist()
    assert 0 <= row <= height - window
    assert 0 <= column <= 8 - window
    assert row <= (y + 0.5) / 8 <= row + window
    assert column <= (x + 0.5) / 8 <= column + window


def test_windows_are_cut_where_they_say():
    grids = torch.arange(2 * 2 * 5 * 6).reshape(2, 2, 5, 6)
    cut = windows(grids, torch.tensor([1, 0]), torch.tensor([[0, 1], [2, 3]]), 3)
    np.testing.assert_array_equal(cut[0], grids[1, :, 0:3, 1:4])
    np.testing.assert_array_equal(cut[1], grids[0, :, 2:5, 3:6])


def test_prompts_of_several_tiles_are_those_of_each(parts):
    model, embedding = parts
    both = torch.cat([embedding, 2 * embedding.flip(2)])
    owner, corners = torch.tensor([1, 0, 1]), window_corners(XY[:, 0], 8, (8, 8), 4)
    with torch.no_grad():
        prompted = embed_prompts(model.prompt_encoder, XY, LABELS)
        together, _ = decode_locally(model.mask_decoder, both, owner, model.position(), prompted, corners, 4)
        for i in range(3):
            one = embed_prompts(model.prompt_encoder, XY[i : i + 1], LABELS[i : i + 1])
            tile = both[owner[i] : owner[i] + 1]
            alone, _ = decode_locally(
                model.mask_decoder, tile, ONE_TILE[:1], model.position(), one, corners[i : i + 1], 4
            )
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)


def test_coordinates_stay_exact_in_bf16(make_model):
    """A coordinate in bfloat16 is off by several pixels of a tile of 1024."""
    model = make_model("sam")
    xy = torch.tensor([[[513.0, 1001.0]]])
    plain = embed_prompts(model.prompt_encoder, xy, torch.ones(1, 1)).tokens
    with torch.autocast("cpu", torch.bfloat16):
        mixed = embed_prompts(model.prompt_encoder, xy, torch.ones(1, 1)).tokens
    assert torch.equal(plain, mixed)
