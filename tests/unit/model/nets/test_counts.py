import pytest

from sac_wsi.errors import ConfigError
from sac_wsi.model.nets.counts import count_parameters, paper_counts
from sac_wsi.model.nets.sizes import ENCODERS, FAMILIES, ModelSize, PrompterSize

TABLE_6 = {
    "sam-ft": (12_746_129, 636_107_520, 648_853_649),
    "msa": (56_595_760, 637_026_048, 693_621_808),
    "sac": (56_493_360, 637_026_048, 693_519_408),
}


@pytest.mark.parametrize("family", TABLE_6)
def test_table_6_of_the_paper(family):
    counts = paper_counts(family, "vit_h")
    assert (counts.trainable, counts.frozen, counts.total) == TABLE_6[family]
    assert counts.prompter == 7_763_041


def test_sam_itself_learns_nothing_and_has_no_prompter():
    counts = paper_counts("sam", "vit_h")
    assert (counts.trainable, counts.total, counts.prompter) == (0, 641_090_608, 0)


def test_the_unet_alone():
    assert paper_counts("unet", "vit_h").total == 7_763_041


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_built_with_every_encoder(family, encoder):
    size = ModelSize(family=family, encoder=encoder, tile_px=512)
    assert count_parameters(size).total > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"family": "sacc"}, "family 'sacc'"),
        ({"encoder": "vit_x"}, "vit_b, vit_l, vit_h"),
        ({"tile_px": 1000}, "multiple of 16"),
        ({"tile_px": 0}, "multiple of 16"),
        ({"prompter": PrompterSize(kind="lite1")}, "size.prompter.kind is 'lite1': needed unet or lite0"),
        ({"prompter": PrompterSize(maps=2)}, "size.prompter.maps is 2: needed 1, 3 or 5"),
        ({"prompter": PrompterSize(width=0)}, "size.prompter.width is 0: needed at least 1"),
        (
            {"prompter": PrompterSize(convolutions=2)},
            "size.prompter.convolutions is 2: needed at least 1 and at most 1",
        ),
    ],
)
def test_sizes_that_cannot_be(wrong, message):
    with pytest.raises(ConfigError, match=message):
        ModelSize(**{"encoder": "vit_b", **wrong})
