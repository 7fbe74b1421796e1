"""Metrics of generated videos against what third-party code gave: Frechet distance, I3D, Inception Score, CLIPSIM."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lavit_eval.metrics.backbones.i3d import TF_HUB_EPS, VIDEOGPT_EPS, I3d
from lavit_eval.metrics.backbones.i3d_weights import fill
from lavit_eval.metrics.clipsim import clipsim, frame_cosines
from lavit_eval.metrics.frechet import frechet_distance
from lavit_eval.metrics.inception_score import InceptionScore, inception_score, inception_score_of_logits
from lavit_eval.metrics.video_input import prepare_clip
from tests.parity.case import Case

Arrays = Mapping[str, np.ndarray]
SIZES = {"n1", "n2", "d", "kind"}
FITS = {"squash": "squash", "shortside_crop": "short_side_crop", "common_styleganv": "short_side_crop"}
I3D_ATOL, I3D_RTOL = 1e-4, 1e-4


def arrays(case: Case, suffix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays beside the case."""
    with np.load(case.folder / f"{case.name}{suffix}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def named_cases(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the recorded cases of a file, whether under `cases` or at its top."""
    return {name: one for name, one in facts.get("cases", facts).items() if isinstance(one, dict)}


def check_frechet(case: Case) -> None:
    """Compare with every implementation, at the tolerance that its arithmetic deserves."""
    features = arrays(case, "_features")
    for name, recorded in named_cases(case.facts).items():
        x, y = (features[f"{name}_{side}"].astype(np.float64) for side in "xy")
        for implementation, expected in recorded.items():
            if implementation in SIZES:
                continue
            ddof = re.search(r"ddof([01])$", implementation)
            assert ddof, f"{name}: {implementation} is recorded but not compared"
            tolerance = _frechet_tolerance(implementation, x, y)
            absolute = 1e-3 if "float32" in implementation else 1e-9
            found = frechet_distance(x, y, int(ddof[1]))
            assert found == pytest.approx(expected, rel=tolerance, abs=absolute), f"{name} {implementation}"


def _frechet_tolerance(implementation: str, x: np.ndarray, y: np.ndarray) -> float:
    """Return the relative tolerance: others' roots of singular covariances are themselves off by up to 1e-6."""
    singular = min(len(x), len(y)) <= x.shape[1] or any(_nearly_singular(rows) for rows in (x, y))
    if "mpmath" in implementation:
        return 1e-9
    if "float32" in implementation:
        return 2e-3 if singular else 5e-4
    # VideoGPT's root keeps singular values below 1e-10 as they are, which shows where means alone differ.
    return 1e-6 if singular or "videogpt" in implementation else 1e-9


def _nearly_singular(rows: np.ndarray) -> bool:
    values = np.linalg.eigvalsh(np.cov(rows.T))
    return bool(values[0] < 1e-6 * values[-1])


def check_i3d(case: Case) -> None:
    """Compare the prepared clips, the stages, and the features at both eps."""
    stored = arrays(case)
    networks = {eps: I3d(eps) for eps in (TF_HUB_EPS, VIDEOGPT_EPS)}
    for network in networks.values():
        fill(network, load_file(_weight_file(case)), "the recorded weights")
    compared: set[str] = set()
    for name, recorded in case.facts["cases"].items():
        compared.add(f"{name}_video_uint8_bthwc")
        video = torch.from_numpy(stored[f"{name}_video_uint8_bthwc"])
        for fit, resize in FITS.items():
            clips = torch.stack([prepare_clip(one, 224, resize) for one in video])  # type: ignore[arg-type]
            _compare_statistics(clips, recorded[fit], f"{name} {fit}")
            thinned = clips[:, :, :: max(1, clips.shape[2] // 4), ::9, ::11]
            key = f"{name}_{fit}"
            _close(thinned, stored[f"{key}_sub_c_t4_h9_w11"], key)
            compared.add(f"{key}_sub_c_t4_h9_w11")
            if f"{key}_logits_eps1e5" in stored:
                compared |= _compare_features(networks, clips, stored, key)
            if fit == "squash" and "endpoints_eps1e3" in recorded:
                compared |= _compare_stages(networks[TF_HUB_EPS], clips, recorded["endpoints_eps1e3"], stored)
    assert set(stored) == compared, f"recorded but not compared: {sorted(set(stored) - compared)}"


def _compare_statistics(clips: torch.Tensor, facts: Mapping[str, Any], name: str) -> None:
    assert list(clips.shape) == facts["shape"], name
    values = clips.double()
    found = [float(one) for one in (values.mean(), values.std(), values.min(), values.max())]
    assert found == pytest.approx([facts[key] for key in ("mean", "std", "min", "max")], abs=1e-5), name


def _weight_file(case: Case) -> Any:
    found = sorted(case.folder.glob("i3d*weights*.safetensors"))
    assert found, f"no I3D weights beside {case.path}"
    return found[0]


def _compare_features(networks: Mapping[float, I3d], clips: torch.Tensor, stored: Arrays, key: str) -> set[str]:
    published, videogpt = networks[TF_HUB_EPS], networks[VIDEOGPT_EPS]
    over_time = published.logits_over_time(clips)
    found = {
        f"{key}_logits_eps1e5": videogpt(clips),
        f"{key}_logits_eps1e3_bct": over_time,
        f"{key}_logits_eps1e3_mean": over_time.mean(dim=2),
        f"{key}_pool_features_eps1e3": published.pooled(clips),
    }
    for name, tensor in found.items():
        _close(tensor, stored[name], name)
    return set(found)


def _compare_stages(network: I3d, clips: torch.Tensor, recorded: Mapping[str, Any], stored: Arrays) -> set[str]:
    compared, seen = set(), set()
    for name, tensor in _stages(network, clips):
        key = f"endpoint_{name}_b0_first"
        if name in recorded:
            facts = recorded[name]
            assert list(tensor.shape) == facts["shape"], name
            found = [float(tensor.double().mean()), float(tensor.double().std()), float((tensor > 0).double().mean())]
            assert found == pytest.approx([facts["mean"], facts["std"], facts["frac_pos"]], rel=1e-4, abs=1e-5), name
            seen.add(name)
        if key in stored:
            _close(tensor[0, :8, 0, :3, :3], stored[key], key)
            compared.add(key)
    assert seen == set(recorded), f"stages not compared: {sorted(set(recorded) - seen)}"
    return compared


def _stages(network: I3d, clips: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    with torch.no_grad():
        yield from network.stages(clips)


def _close(found: torch.Tensor, expected: np.ndarray, name: str) -> None:
    torch.testing.assert_close(
        found, torch.from_numpy(expected), atol=I3D_ATOL, rtol=I3D_RTOL, msg=lambda text: f"{name}: {text}"
    )


def check_inception_score(case: Case) -> None:
    """Compare every order of splitting; NaN where the recorded code took the logarithm of 0."""
    stored = arrays(case)
    for name, recorded in named_cases(case.facts).items():
        rows, logits, splits = stored[f"{name}_probs"], stored[f"{name}_logits"], recorded["splits"]
        assert rows.shape == (recorded["n"], recorded["classes"])
        found: dict[str, tuple[InceptionScore, float]] = {
            "stylegan_v_shuffle42": (inception_score(rows, splits), 1e-4),
            "tgan2_order_eps1e-20": (inception_score(rows, splits, None), 1e-6),
            "tgan2_splits1": (inception_score(rows, 1, None), 1e-6),
            "torch_fidelity_shuffle2020_from_logits": (inception_score_of_logits(logits, splits), 1e-9),
            "torch_fidelity_noshuffle_from_logits": (inception_score_of_logits(logits, splits, None), 1e-9),
        }
        unknown = set(recorded) - set(found) - {"n", "classes", "splits"}
        assert not unknown, f"{name}: recorded but not compared: {sorted(unknown)}"
        for key, (score, tolerance) in found.items():
            values = recorded[key]
            mean, deviation = values if isinstance(values, list) else values.values()
            if math.isnan(mean):
                assert (rows == 0).any() and math.isfinite(score.mean), f"{name} {key}"
                continue
            assert score.mean == pytest.approx(mean, rel=tolerance), f"{name} {key}"
            assert score.deviation == pytest.approx(deviation, rel=100 * tolerance, abs=1e-5), f"{name} {key}"


def check_clipsim(case: Case) -> None:
    """Compare the cosines and our mean; the other scores that go by CLIP's name follow from the cosines."""
    stored = arrays(case, "_embeddings")
    for name, recorded in named_cases(case.facts).items():
        texts, frames = stored[f"{name}_text"], stored[f"{name}_frames"]
        assert frames.shape == (recorded["videos"], recorded["frames"], recorded["dim"])
        cosines = np.array([frame_cosines(video, text) for video, text in zip(frames, texts, strict=True)])
        measured = clipsim(list(cosines))
        value = float(measured.reduce(measured.rows.sum(axis=0)))
        found = {
            "cosine_per_frame": cosines,
            "clipsim_mean_over_frames_then_videos": value,
            "clipsim_x100": 100 * value,
            "clipscore_w1_per_frame_clipped_at_0": cosines.clip(min=0),
            "clipscore_w2.5_mean": 2.5 * float(cosines.clip(min=0).mean()),
        }
        unknown = set(recorded) - set(found) - {"videos", "frames", "dim", "note"}
        assert not unknown, f"{name}: recorded but not compared: {sorted(unknown)}"
        for key, expected in found.items():
            np.testing.assert_allclose(expected, recorded[key], rtol=1e-5, atol=1e-6, err_msg=f"{name} {key}")


CHECKS: dict[str, Callable[[Case], None]] = {
    "frechet": check_frechet,
    "i3d_goldens": check_i3d,
    "inception_score": check_inception_score,
    "clipsim": check_clipsim,
}
