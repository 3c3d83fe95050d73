"""What is known of the processor, with its flags and variables simulated."""

import os

import pytest

from sac_wsi.system import processor


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16", "", True),
        ("fpu amx_bf16", "", True),
        ("fpu avx2 avx512f", "", False),
        ("fpu avx512_bf16", "AVX2", False),
        ("fpu avx512_bf16", "AVX512_CORE_BF16", True),
        ("fpu avx512_bf16", "default", True),
    ],
)
def test_bf16_by_the_flags_of_the_cpu(flags, limit, expected, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert processor.computes_bf16() is expected


def test_no_bf16_where_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert processor.computes_bf16() is False


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("0", None), ("many", None), ("", None)])
def test_threads(asked, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert processor.usable_threads() == (expected or len(os.sched_getaffinity(0)))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processor.usable_threads() == (expected or os.cpu_count())
