"""NoCaps, Flickr30k, MSR-VTT, MSVD and VATEX captions: the official layouts and what is known to go wrong in them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lavit_eval.benchmarks.flickr30k import Flickr30kKarpathyTest
from lavit_eval.benchmarks.msrvtt_caption import MsrvttCaption
from lavit_eval.benchmarks.msvd_caption import MsvdCaption
from lavit_eval.benchmarks.nocaps import Nocaps
from lavit_eval.benchmarks.vatex import VatexEn
from lavit_eval.errors import UsageError
from lavit_eval.preparation import prepare_task
from lavit_eval.registry import Catalogue
from tests.benchmarks.caption_layouts import (
    FLICKR_IMAGES,
    MSVD_VIDEOS,
    NOCAPS_IMAGES,
    VATEX_ROWS,
    msrvtt_document,
    nocaps_document,
    put,
    write_flickr30k,
    write_flickr30k_lavis,
    write_msrvtt_caption,
    write_msvd_caption,
    write_nocaps,
    write_vatex,
)
from tests.benchmarks.layouts import write_json, write_lines


def test_nocaps_has_an_image_0_with_its_captions(tmp_path: Path) -> None:
    write_nocaps(tmp_path / "nocaps")
    samples = Nocaps().read(tmp_path, "val").samples
    assert [sample.id for sample in samples] == ["0", "1", "2"]
    assert samples[0].references == ("a near-domain thing 0", "a near-domain thing 1")
    assert [sample.categories["domain"] for sample in samples] == ["near-domain", "in-domain", "near-domain"]
    assert Path(samples[0].media[0].path).is_file()
    assert samples[0].media[0].name == "images/90abcdef.jpg"


def test_nocaps_without_domains_or_captions_is_refused(tmp_path: Path) -> None:
    path = write_nocaps(tmp_path / "nocaps")
    bare = [{key: value for key, value in image.items() if key != "domain"} for image in NOCAPS_IMAGES]
    write_json(path, {**nocaps_document(), "images": bare})
    with pytest.raises(UsageError, match=r'entry 1 \(id 0\) has no field "domain"'):
        Nocaps().read(tmp_path, "val")
    write_json(path, {**nocaps_document(), "images": [{**NOCAPS_IMAGES[0], "domain": "far"}, *NOCAPS_IMAGES[1:]]})
    with pytest.raises(UsageError, match='has the domain "far"'):
        Nocaps().read(tmp_path, "val")
    document = nocaps_document()
    write_json(path, {**document, "annotations": document["annotations"][2:]})
    with pytest.raises(UsageError, match="image 0 has no caption"):
        Nocaps().read(tmp_path, "val")
    write_json(path, {**document, "images": NOCAPS_IMAGES[:2]})
    with pytest.raises(UsageError, match="is of image 2, which the file does not list"):
        Nocaps().read(tmp_path, "val")


def test_flickr30k_takes_the_test_split_only(tmp_path: Path) -> None:
    write_flickr30k(tmp_path / "one" / "flickr30k")
    write_flickr30k_lavis(tmp_path / "two" / "flickr30k" / "annotations")
    put(tmp_path / "two" / "flickr30k" / "images", ["900001.jpg"])
    one = Flickr30kKarpathyTest().read(tmp_path / "one", "test").samples
    two = Flickr30kKarpathyTest().read(tmp_path / "two", "test").samples
    assert [sample.id for sample in one] == ["900001", "900003"]
    assert [(sample.id, sample.references, sample.media[0].name) for sample in one] == [
        (sample.id, sample.references, sample.media[0].name) for sample in two
    ]
    assert Path(two[0].media[0].path).is_file()


def test_flickr30k_refuses_files_without_a_split_and_names_that_lead_outside(tmp_path: Path) -> None:
    write_lines(tmp_path / "flickr30k" / "results_20130124.token", ["900001.jpg#0\tA dog jumps ."])
    with pytest.raises(UsageError, match=r"no annotations of Flickr30k.*dataset_flickr30k\.json"):
        Flickr30kKarpathyTest().read(tmp_path, "test")
    path = write_flickr30k(tmp_path / "flickr30k", [{**FLICKR_IMAGES[0], "split": "train"}])
    with pytest.raises(UsageError, match='no image whose split is "test"'):
        Flickr30kKarpathyTest().read(tmp_path, "test")
    row = {"filename": "../x.jpg", "split": "test", "sentences": [{"raw": "a"}]}
    write_json(path, {"images": [row]})
    with pytest.raises(UsageError, match="names a medium outside the data folder"):
        Flickr30kKarpathyTest().read(tmp_path, "test")


def test_msrvtt_has_all_captions_in_their_order(tmp_path: Path) -> None:
    path = write_msrvtt_caption(tmp_path / "MSRVTT")
    samples = MsrvttCaption().read(tmp_path, "test").samples
    assert [sample.id for sample in samples] == ["video7010", "video7011"]
    assert samples[0].references == tuple(f"caption {order} of 7010" for order in range(3))
    assert samples[0].categories == {"category": "9"}
    assert Path(samples[0].media[0].path) == tmp_path / "MSRVTT" / "TestVideo" / "video7010.mp4"
    document = msrvtt_document()
    write_json(path, {**document, "sentences": document["sentences"][:3]})
    with pytest.raises(UsageError, match="video7010 has no caption"):
        MsrvttCaption().read(tmp_path, "test")


def test_the_1k_a_file_of_retrieval_is_not_taken_for_the_test_split(tmp_path: Path) -> None:
    write_lines(tmp_path / "MSRVTT" / "MSRVTT_JSFUSION_test.csv", ["key,vid_key,video_id,sentence"])
    with pytest.raises(UsageError, match="no annotations of MSR-VTT"):
        MsrvttCaption().read(tmp_path, "test")


def test_msvd_splits_by_number_and_cuts_captions_at_the_first_space(tmp_path: Path) -> None:
    write_msvd_caption(tmp_path / "MSVD")
    found = MsvdCaption().read(tmp_path, "test")
    assert [(sample.id, sample.references) for sample in found.samples] == [
        ("-aBc_5_16", ("caption 0 of it", "caption 1 of it")),
        ("_xy_0_5", ("caption 0 of it", "caption 1 of it")),
    ]
    assert all(Path(sample.media[0].path).is_file() for sample in found.samples)
    assert [sample.id for sample in MsvdCaption().read(tmp_path, "train").samples] == ["train1_1_2"]
    (tmp_path / "MSVD" / "youtube_mapping.txt").unlink()
    write_lines(tmp_path / "MSVD" / "test_list.txt", ["_xy_0_5", "-aBc_5_16"], "\n")
    assert [sample.id for sample in MsvdCaption().read(tmp_path, "test").samples] == ["_xy_0_5", "-aBc_5_16"]


def test_msvd_videos_may_have_their_numbers(tmp_path: Path) -> None:
    write_msvd_caption(tmp_path / "MSVD")
    (tmp_path / "MSVD" / "YouTubeClips" / "-aBc_5_16.avi").rename(tmp_path / "MSVD" / "YouTubeClips" / "vid1301.avi")
    first = MsvdCaption().read(tmp_path, "test").samples[0].media[0]
    assert Path(first.path).name == "vid1301.avi"
    assert first.name == "YouTubeClips/-aBc_5_16.avi"


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (Path(self.mark),)

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)


def test_msvd_never_loads_a_pickle(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    (tmp_path / "MSVD").mkdir()
    (tmp_path / "MSVD" / "raw-captions.pkl").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(UsageError, match=r"raw-captions\.pkl is a pickle.*AllVideoDescriptions\.txt"):
        MsvdCaption().read(tmp_path, "test")
    assert not mark.exists()


@pytest.mark.parametrize("line", ["nocaption", "../up a caption", "a\0b c"])
def test_msvd_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    path = write_msvd_caption(tmp_path / "MSVD")
    write_lines(path, ["# x", line])
    with pytest.raises(UsageError, match=r"AllVideoDescriptions\.txt, line 2"):
        MsvdCaption().read(tmp_path, "test")


def test_msvd_a_video_without_captions_is_named(tmp_path: Path) -> None:
    path = write_msvd_caption(tmp_path / "MSVD")
    write_lines(path, [f"{name} a caption" for name in MSVD_VIDEOS if name != "_xy_0_5"])
    with pytest.raises(UsageError, match="has no caption of _xy_0_5"):
        MsvdCaption().read(tmp_path, "test")


def test_vatex_missing_videos_are_named_and_counted(tmp_path: Path) -> None:
    write_vatex(tmp_path / "vatex")
    samples = VatexEn().read(tmp_path, "test").samples
    assert [(sample.id, sample.references) for sample in samples] == [
        (row["videoID"], tuple(row["enCap"])) for row in VATEX_ROWS
    ]
    (tmp_path / "vatex" / "videos" / f"{VATEX_ROWS[0]['videoID']}.mp4").unlink()
    prepared, problems = prepare_task(Catalogue().task("vatex_en"), tmp_path, None, {"vatex_en": 2})
    assert prepared.missing == ("videos/-bcDEF12345_000010_000020.mp4",)
    assert "1 of 2 media are missing" in problems[0]
    assert "--allow-missing" in problems[0]


def test_vatex_captions_must_be_text(tmp_path: Path) -> None:
    write_vatex(tmp_path / "vatex", [{**VATEX_ROWS[0], "enCap": []}])
    with pytest.raises(UsageError, match=r"entry 1 \(videoID -bcDEF12345_000010_000020\) has no captions"):
        VatexEn().read(tmp_path, "test")
