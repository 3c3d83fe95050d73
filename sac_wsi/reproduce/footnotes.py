"""What was chosen where the paper contradicts itself or leaves something open."""

from __future__ import annotations

FOOTNOTES: dict[str, str] = {
    # of whole tables
    "measures": (
        "F1 pools the pixels of all test images; IoU and Dice are means over images; both are printed "
        "because the paper mixes them. The paper scores one foreground mask: AJI, PQ and detection F1 (at "
        "IoU 0.5), means over images, are ours alone, of the single nuclei. The interval is the 95 % "
        "bootstrap over test images: of the images only, not of another training."
    ),
    "recipe": (
        "The paper gives a minimum of 30 epochs and early stopping with patience 10, but no optimiser, "
        "learning rate, batch size or augmentation: these are ours, in the config.json of each run. No "
        "run ends before its 30th epoch, DSB 2018's none after it. Images are brought to the size of a tile, "
        "as SAM does it. Focal : Dice is SAM's 20:1."
    ),
    "validation": (
        "The paper stops early, but MoNuSeg has 30 training and 14 test images and no validation images, "
        "and none are named. Ours are held back from the training images."
    ),
    "dsb-split": (
        "The paper splits the 670 images of stage1_train at random 80/10/10 and does not say how they fell. "
        "Ours fall by a seed, so the test images are others."
    ),
    "prompts": (
        '"n-point" is n positive and n negative automatic points, "n-expert" n points taken from the truth. '
        "Whether a row's prompts were also those of its training is not said; Table 5's seconds per epoch "
        "grow with the points, so here each row learns and is scored with its own prompts."
    ),
    "way": (
        "Which selection the paper's other tables use is not said. R here, because Table 5 prints Table 3's "
        "SAM-FT rows as its R rows."
    ),
    # of rows
    "unet": (
        "The paper quotes this row from elsewhere. Ours is the auto-prompt generator's U-Net (7,763,041 "
        "parameters), trained and scored alone."
    ),
    "f1-dice": (
        "One run printed twice with Dice and F1 exchanged: SAC 0-expert has F1 84.11 and Dice 84.03 in "
        "Table 1, F1 84.03 and Dice 84.11 in Table 3 (LoRA 1-point 0-expert) and Table 7 (ViT-H)."
    ),
    "one-point": (
        "SAC 0-expert is one automatic point (Table 3: LoRA 1-point 0-expert), while Figure 5 and Table 5 "
        "argue for many."
    ),
    "table5-names": (
        "Table 5 prints rows of Table 3 under other names: R-1-point is SAM-FT 1-point 1-expert, R-3-point "
        "is SAM-FT 1-point 3-expert, R-256-point is SAM-FT 3-point 3-expert. Both readings have a row: by "
        "its numbers (the run of Table 3) and as named (so many random points, no expert)."
    ),
    "r1-named": (
        "R-1-point as named is SAM-FT 1-point 0-expert: 81.57 / 68.76 / 81.4 in Table 5, 80.81 / 68.31 / "
        "81.07 in Table 3."
    ),
    "table5-o": (
        "Table 5 does not name the model of its O rows. SAM-FT without expert, as the R rows are SAM-FT's."
    ),
    "table2-sam-ft": (
        "Table 2's SAM-FT 1-expert (92.89 / 86.17 / 92.37) is Table 4's 0-point 0-expert on DSB; Table 4's "
        "own 0-point 1-expert there is 91.41 / 84.0 / 90.97. Both readings have a row: by its numbers (no "
        "prompt) and as named (one expert point)."
    ),
    "table1-sam-ft": (
        "Table 1's SAM-FT 1-expert (81.57) includes one automatic point: Table 3's 1-point 1-expert. "
        "Without it Table 4 has 63.91."
    ),
    "table1-msa": "Table 1's MSA 1-expert is Table 3's MSA 0-point 1-expert.",
    "table2-msa": "Taken as on MoNuSeg, where MSA 1-expert has no automatic point.",
    "no-prompt": "0-point 0-expert decodes with no prompt at all.",
    "histoseg": (
        "HistoSeg's F1 and IoU (75.08 and 71.06 on MoNuSeg, 98.07 and 76.73 on GlaS) cannot be of the same "
        "pixels, where F1 75.08 would be IoU 60.1 and F1 98.07 would be IoU 96.2. Quoted as printed."
    ),
    "table6-unet": (
        "The U-Net's 7,763,041 parameters and the encoder's neck count as trainable for SAM-FT only; the "
        "U-Net is left out of the totals of MSA and SAC. Ours are counted the paper's way."
    ),
    "table6-prompt-encoder": (
        "The text says that the prompt encoder is frozen; Table 6 counts its 6,220 parameters as trainable. "
        "They learn here."
    ),
    "time": (
        "The paper's seconds per epoch are of an NVIDIA H100 PCIe, with a batch size that it does not name."
    ),
    "vit-b-time": (
        "The text says that ViT-H takes more than twice as long as ViT-B; Table 7 has no time for ViT-B."
    ),
    "figure4": (
        "Figure 4 is a picture without numbers. Its caption names SAM, MSA and SAC, the text SAM-FT, MSA "
        "and SAC: SAM does not learn, so SAM-FT. The prompts are not named: those of Table 1. Ours is the "
        "Dice of the validation images."
    ),
    "losses-unprinted": (
        "The paper says that its supplement A.2 compares DiceCE with focal + Dice; A.2 gives the formulas "
        "and no result. The only number is that of focal + Dice (Table 3: LoRA 1-point 0-expert)."
    ),
    "eq8": (
        "Eq. 8 prints only the positive term of the cross-entropy, summed and not averaged. Two rows: "
        "DiceCE as it is meant elsewhere (both terms, averaged), and Eq. 8 to the letter."
    ),
    "medt": "Table 8 of the paper prints MedT twice, with the same numbers.",
}


def numbered(keys: list[str]) -> dict[str, int]:
    """Return the number of each footnote, in the order of first use.

    >>> numbered(["unet", "way", "unet"])
    {'unet': 1, 'way': 2}
    """
    return {key: i for i, key in enumerate(dict.fromkeys(keys), start=1)}
