"""Choose what computes a model: OpenVINO on a CPU, or PyTorch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sac_wsi.errors import INSTALL_TORCH, ConfigError
from sac_wsi.system.processor import computes_bf16, may_have_cuda

if TYPE_CHECKING:
    from sac_wsi.model.checkpoint.card import Card
    from sac_wsi.model.checkpoint.inference import Mode
    from sac_wsi.model.predict.segmenter import Engine


def choose_engine(
    card: Card, mode: Mode, engine: str = "auto", device: str = "auto", precision: str = "auto"
) -> tuple[Engine, str, str]:
    """Return engine, device and precision, none of them ``auto``.

    OpenVINO computes a prompter alone on a CPU, and does not import PyTorch. All other models, and a GPU,
    need PyTorch.

    Args:
        card: The card of the checkpoint.
        mode: How maps and masks become nuclei.
        engine: ``auto``, ``openvino`` or ``torch``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bf16``.

    Raises:
        ConfigError: The engine cannot run this model on this device.
    """
    if device == "auto":
        device = "cuda" if engine != "openvino" and _has_cuda() else "cpu"
    prompter_alone = mode == "prompter" and card.kind == "whole" and card.size.family != "sam"
    chosen: Engine = "openvino" if device == "cpu" and prompter_alone and engine != "torch" else "torch"
    if engine == "openvino" and chosen == "torch":
        raise ConfigError(
            f"engine is openvino, device {device}, sac.mode {mode}: OpenVINO runs a prompter alone on a CPU. "
            "Leave engine out."
        )
    if chosen == "torch" and find_spec("torch") is None:
        raise ConfigError(
            f"{card.name} with sac.mode={mode} on {device} needs PyTorch, which is not installed. Run "
            f"{INSTALL_TORCH}, or use a model without an encoder on the CPU (sac-tiny)."
        )
    if precision == "auto":
        precision = "bf16" if _computes_bf16(device) else "float32"
    return chosen, device, precision


def _has_cuda() -> bool:
    if not may_have_cuda() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _computes_bf16(device: str) -> bool:
    if not device.startswith("cuda"):
        return device == "cpu" and computes_bf16()
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
