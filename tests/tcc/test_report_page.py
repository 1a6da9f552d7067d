"""The page: every section is there, nothing undefined is passed over, the same inputs give the same bytes."""

from __future__ import annotations

import dataclasses
import html
import html.parser
import re
import xml.etree.ElementTree
from base64 import b64decode

import av
import numpy as np
import pytest

from tcc.config import (
    DeviceConfig,
    EvaluationConfig,
    ExecutionConfig,
    FeaturesConfig,
    ReportConfig,
    Settings,
    TrainingConfig,
    VideosConfig,
)
from tcc.errors import ShapeError, TargetError
from tcc.report import without_timing, write_report
from tests.tcc import report_samples as samples

SECTIONS = ("results", "training", "alignment", "embeddings", "details", "clips", "settings", "provenance", "run")
SMALL = ReportConfig(video_pixels=32, grid_pixels=32)
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(html.parser.HTMLParser):
    """A page read strictly: every element is closed where it should be."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.text, self._open = [], [], []
        self.feed(self.source)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def words(self):
        return " ".join("".join(self.text).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def write(folder, *, num_clips=1, **changes):
    """A page and its counts. With one clip it has no video and takes no time."""
    changes.setdefault("clips", samples.make_clips(count=num_clips))
    counts = write_report(folder / "report.html", samples.make_inputs(**changes), SMALL)
    return Page(folder / "report.html"), counts


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A page with everything on it, and its counts."""
    return write(tmp_path_factory.mktemp("report"), num_clips=4)


def charts(page):
    """The pictures that are charts."""
    return [attributes for attributes in page.all("img") if attributes["src"].startswith("data:image/svg+xml")]


def chart_text(page, beginning):
    """All text in the one chart whose alternative text begins so."""
    (chart,) = (chart for chart in charts(page) if chart["alt"].startswith(beginning))
    return " ".join(
        "".join(xml.etree.ElementTree.fromstring(b64decode(chart["src"].partition("base64,")[2])).itertext()).split()
    )


def row(page: Page, title: str, *, every: bool = False) -> str:
    """The text of one row of the first table of metrics; `every`: of the one with all baselines."""
    name = re.escape(html.escape(title))
    found = re.findall(rf"<tr><th scope=\"row\"><b>{name}</b>.*?</tr>", page.source)
    assert found, title
    return " ".join(re.sub("<[^>]+>", " ", found[-1 if every else 0]).split())


def test_every_section_is_there_and_linked(whole):
    page, _ = whole
    assert tuple(attributes["id"] for attributes in page.all("section")) == SECTIONS
    identifiers = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [attributes["href"] for attributes in page.all("a")]
    assert {f"#{name}" for name in SECTIONS} <= set(links)
    assert {link[1:] for link in links} <= identifiers


def test_counts(whole):
    assert whole[1] == {
        "in": 4,
        "out": 4,
        "skipped": 0,
        "metrics": 10,
        "undefined": 1,
        "figures": 14,
        "videos": 2,
    }


def test_nothing_comes_from_elsewhere(whole):
    page, _ = whole
    # Of the addresses that a download would use the page tells, as text among the settings.
    assert "://" not in page.source.replace(", ".join(Settings().download.urls), "")
    assert "url(" not in page.source
    for _, attributes in page.elements:
        for name in ("src", "href", "poster"):
            assert re.match("data:|#", attributes.get(name, "#"))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_first_sentence_says_what_was_trained_on_what(whole):
    words = whole[0].words()
    steps = f"{Settings().training.num_steps:,}"
    assert f"Trained by tcc_regression_variance for {steps} steps on 5 rendered pouring videos" in words
    assert "Checkpoint 200 was chosen on 3 validation clips: highest Kendall's tau" in words
    assert "Measured once on 4 test clips (132 frames at 10 per second) with 3 labelled phases." in words


def test_first_sentence_says_that_clips_were_held_out_to_choose_on(tmp_path):
    selection = {**samples.make_selection(), "validation": {"clips": 3, "held_out": 3}}
    page, _ = write(tmp_path, selection=selection)
    assert "on 3 validation clips (3 of the set's training clips, held out because it has no split" in page.words()


def test_the_table_has_the_best_of_each_group_and_another_one_has_every_baseline(whole):
    page, _ = whole
    shown = "0.900 best 0.450 0.615 grid, PCA 0.812 index / length 0.970"
    assert row(page, "Phase classification").endswith(shown)
    assert row(page, "Phase classification", every=True).endswith(
        "0.900 best 0.450 0.500 0.580 0.615 0.710 0.812 0.970"
    )
    assert row(page, "Boundary transfer").endswith("0.13 s best 0.45 s 0.50 s pooled 0.71 s frame index 0.97 s")
    assert "10 labelled clips, 12 episodes 0.830 ± 0.020 best" in row(page, "Few-shot classification")
    for column in ("this model", "before training", "best frozen features", "best clock", "trained with labels"):
        assert page.source.count(f">{column}</th>") >= 1
    for column in ("pooled", "grid", "grid, PCA", "frame index", "index / length"):
        assert page.source.count(f">{column}</th>") == 1


def test_the_ceiling_is_never_the_best(whole):
    page, _ = whole
    for title in ("Phase classification", "Kendall's tau", "Boundary transfer"):
        for every in (False, True):
            assert not row(page, title, every=every).endswith("best")
    assert "it takes no part in which is best" in page.words()


def test_undefined_is_said_with_its_reason(whole):
    page, _ = whole
    assert re.search(
        r"undefined 1 0.450 0.615 grid, PCA 0.812 index / length best 0.970$", row(page, "Phase progression")
    )
    assert "undefined 1 0.450 0.500 0.580 0.615 undefined 3 0.812 best" in row(page, "Phase progression", every=True)
    words = page.words()
    assert "Phase progression (this model): no test clip has every phase." in words
    assert "Phase progression (frame index): constant." in words


def test_what_a_value_leaves_out_is_counted_once(whole):
    page, _ = whole
    assert "0.920 2 best" in row(page, "Kendall's tau")
    note = "Kendall's tau (this model): 5 left out, embeddings are not finite (pair a -> b, pair a -> c, pair a -> d"
    assert page.words().count(f"{note} and 2 more).") == 1


def test_variants_have_rows_of_their_own(whole):
    page, _ = whole
    trimmed = row(page, "Phase agreement, trimmed")
    assert "clips cut at random by up to 3 s at the start, 2 s at the end 0.770 not measured" in trimmed
    warped = row(page, "Phase agreement, with DTW")
    assert "matched by dynamic time warping; 6 of 12 pairs of clips, drawn 0.950 not measured" in warped
    assert warped.endswith("not measured 0.990")
    assert "lower is better; 12 ordered pairs of clips 0.050 best" in row(page, "Alignment")
    assert "dynamic time warping 0.040 not measured" in row(page, "Alignment, with DTW")


def test_errors_in_seconds_stand_in_the_table_of_all_baselines_alone(whole):
    page, _ = whole
    expected = {"time error": "0.31 s", "cycle error": "0.12 s", "with DTW, time error": "0.25 s"}
    for part, value in expected.items():
        assert f"{value} not measured" in row(page, f"Alignment, {part}")
        assert page.source.count(f"<b>Alignment, {part}</b>") == 1


def test_collapse_is_a_line_of_its_own_with_a_table_of_all(whole):
    page, _ = whole
    words = page.words()
    line = "Collapse check of this model: entropy of nearest neighbors 0.97, variance of the embeddings 1.23, effective rank"
    assert f"{line} 11.5, share of pairs without a tau 0, constant clips 0." in words
    assert "embeddingsentropy of nearest neighborsvariance of the embeddingseffective rank" in words
    assert "this model0.971.2311.500before training01e-09112" in words
    assert "<b>Collapse</b>" not in page.source


def test_an_undefined_collapse_check_says_why(tmp_path):
    undefined = [{"what": "all", "reason": "one clip"}]
    collapse = samples.make_metric("collapse", None, undefined=undefined, details={}, baselines={})
    page, _ = write(tmp_path, metrics={"collapse": collapse, "kendalls_tau": samples.make_metric("kendalls_tau", 0.9)})
    assert "Collapse check of this model: undefined: one clip." in page.words()


def test_several_seeds_have_a_mean_with_its_interval_and_each_value_in_the_details(tmp_path):
    agreement = samples.make_metrics()["phase_agreement"]
    seeds = samples.make_seeds(agreement, (0.8, 0.9, 0.85))
    for seed, trimmed in zip(seeds["seeds"], (0.6, 0.8, 0.7)):
        seed["details"] = {**seed["details"], "trimmed": {**agreement["details"]["trimmed"], "value": trimmed}}
    page, _ = write(tmp_path, metrics={"phase_agreement": seeds})
    assert "mean over 3 seeds, 12 ordered pairs of clips 0.850 ± 0.150 best" in row(page, "Phase agreement")
    assert "2 s at the end 0.700 not measured" in row(page, "Phase agreement, trimmed")
    assert "±: 95 % interval of the mean over seeds" in page.words()
    assert "seedvalue95 % intervalcountleft out00.80012010.90012020.850120" in page.words()
    assert "What follows is of seed 0." in page.words()
    assert "The model's numbers are means over 3 seeds; what it is compared with is of the first." in page.words()


def test_intervals_over_seeds_stand_beside_those_over_episodes(tmp_path):
    few = samples.make_seeds(samples.make_metrics()["few_shot_classification"], (0.8, 0.9))
    few["baselines"]["untrained"].update(interval=[0.4, 0.5], details={"count_of": "episodes"})
    page, _ = write(tmp_path, metrics={"few_shot_classification": few})
    assert "±: 95 % interval of the mean over episodes or seeds, as the metric tells." in page.words()


def test_seeds_of_which_one_is_undefined_have_no_mean(tmp_path):
    seeds = samples.make_seeds(samples.make_metric("kendalls_tau", 0.9), (0.8, None))
    page, _ = write(tmp_path, metrics={"kendalls_tau": seeds})
    assert "mean over 2 seeds, 12 ordered pairs of clips undefined 1" in row(page, "Kendall's tau")
    assert "00.8001201undefined121" in page.words()


def test_a_metric_without_any_value_says_so_once(tmp_path):
    metrics = {
        "kendalls_tau": samples.make_metric("kendalls_tau", 0.9),
        "phase_agreement": samples.make_metric("phase_agreement", None),
    }
    nothing = [{"what": "all", "reason": "skipped: no labels"}]
    for result in (metrics["phase_agreement"], *metrics["phase_agreement"]["baselines"].values()):
        result.update(value=None, undefined=nothing, count=0)
    page, _ = write(tmp_path, metrics=metrics)
    assert row(page, "Phase agreement").endswith("in the same phase skipped: no labels")
    assert 'colspan="5" class="undefined"' in page.source


def test_a_metric_that_nobody_knows_is_shown_without_a_best(tmp_path):
    page, _ = write(tmp_path, metrics={"cycle_error": samples.make_metric("cycle_error", -0.25)})
    assert row(page, "Cycle error").endswith("−0.250 0.450 see below see below 0.970")
    assert row(page, "Cycle error", every=True).endswith("−0.250 0.450 0.500 0.580 0.615 0.710 0.812 0.970")


def test_best_is_marked_for_all_that_share_it_and_for_none_if_all_do(tmp_path):
    shared, alike = (samples.make_metric(name, 0.9) for name in ("kendalls_tau", "phase_agreement"))
    shared["baselines"] = {"clock_index": {"value": 0.9001}, "clock_length": {"value": 0.8}}
    alike["baselines"] = {"clock_index": {"value": 0.9001}, "clock_length": {"value": 0.9}}
    page, _ = write(tmp_path, metrics={"kendalls_tau": shared, "phase_agreement": alike})
    assert row(page, "Kendall's tau").endswith("0.900 best 0.900 frame index best")
    assert row(page, "Kendall's tau", every=True).endswith("0.900 best 0.900 best 0.800")
    assert "best" not in row(page, "Phase agreement")


def test_no_metrics(tmp_path):
    page, counts = write(tmp_path, metrics={})
    assert "No metric was evaluated." in page.words()
    assert counts["metrics"] == 0


def test_missing_columns_of_features_are_explained(tmp_path):
    metric = samples.make_metric("kendalls_tau", 0.9, baselines={"clock_index": {"value": 0.5}})
    page, _ = write(tmp_path, metrics={"kendalls_tau": metric})
    assert "There is no column of frozen features" in page.words()


def test_clips_left_out_are_listed_once_with_the_first_reason(whole):
    words = whole[0].words()
    assert "Clips left out: 1" in words
    assert "broken.mp4clipsno frame could be decoded" in words
    assert "refused or undecodable" not in words


def test_names_that_are_not_utf_8_are_shown_with_escapes(tmp_path):
    clips = [samples.make_clip(f"caf\udce9_{k}.mp4", length=24 + 6 * k, pace=1.0) for k in range(4)]
    page, _ = write(tmp_path, clips=clips)
    assert "caf\\udce9_0.mp4" in page.words()


def test_undefined_scores_of_checkpoints_are_listed(whole):
    words = whole[0].words()
    assert "stepscorevalidation lossremark100undefinedundefinedall embeddings are alike2000.91001.2000chosen" in words


def test_the_validation_loss_is_drawn_beside_the_training_loss(whole, tmp_path):
    alternative = "Loss of the validation clips: 1.2 at step 200, 1.35 at step 300."
    assert alternative in whole[0].all("img")[0]["alt"]
    assert "Dots: the loss of the validation clips." in whole[0].words()
    scores = [{**score, "validation_loss": None} for score in samples.make_selection()["scores"]]
    page, _ = write(tmp_path, selection={**samples.make_selection(), "scores": scores})
    assert "validation clips:" not in page.all("img")[0]["alt"]
    assert "stepscoreremark" in page.words()


def test_a_training_that_measured_its_own_validation_loss_is_shown_with_that(tmp_path):
    history = samples.make_history()
    history[99]["validation_loss"], history[299]["validation_loss"] = 2.5, 1.5
    page, _ = write(tmp_path, history=history)
    assert "Loss of the validation clips: 2.5 at step 100, 1.5 at step 300." in page.all("img")[0]["alt"]


def test_versions_are_merged_over_the_stages(tmp_path):
    stages = samples.make_stages()
    stages[0]["run"]["versions"] = {"python": "3.11.2", "av": "18.1.0"}
    stages[1]["run"]["versions"] = {"python": "3.9.2"}
    page, _ = write(tmp_path, stages=stages)
    assert "versionsav 18.1.0, numpy 2.4.6, python 3.11.2 and 3.9.2" in page.words()


def test_a_reason_does_not_repeat_the_name_of_its_row(tmp_path):
    undefined = [{"what": "all", "reason": "kendalls_tau: no pair is left"}]
    page, _ = write(tmp_path, metrics={"kendalls_tau": samples.make_metric("kendalls_tau", None, undefined=undefined)})
    assert "Kendall's tau (this model): no pair is left." in page.words()


def test_details_are_shown_as_tables(whole):
    words = whole[0].words()
    assert "true \\ predictedrolldip & turnrest" in words
    assert "dip & turn1283" in words


def test_rows_of_details_are_named_by_what_they_are_about(tmp_path):
    few = samples.make_metric("few_shot_classification", 0.8)
    few["details"] = {"videos": [{"episodes": 7, "interval_95": [0.5, 0.7], "num_videos": 3, "value": 0.6}]}
    page, _ = write(tmp_path, metrics={"few_shot_classification": few})
    assert "labelled clipsepisodes95 % intervalvalue370.500 to 0.7000.600" in page.words()


def test_confusion_is_drawn_once_beside_its_table(whole):
    page, _ = whole
    (chart,) = (chart for chart in charts(page) if chart["alt"].startswith("Matrix of phases"))
    assert "roll is found in 94% of its 33 frames, most often taken for dip & turn (6%)" in chart["alt"]
    assert "rest is found in 100% of its 30 frames." in chart["alt"]
    text = chart_text(page, "Matrix of phases")
    for part in ("0.94 31", "0.09 3", "true phase", "predicted phase", "dip & turn"):
        assert part in text


def test_progression_is_drawn_from_the_best_predicted_clip_to_the_worst(whole):
    page, _ = whole
    drawn = [chart for chart in charts(page) if "key events over" in chart["alt"]]
    errors = [float(re.search(r"error (\d.\d+) of", chart["alt"]).group(1)) for chart in drawn]
    assert len(errors) == 4
    assert errors == sorted(errors)
    assert "rank 4 of 4" in page.words()
    text = chart_text(page, f"Line chart of the predicted and the true time since 2 key events over {'clip_00'}")
    assert "roll → dip & turn" in text and "dip & turn → rest" in text


def test_without_training_clips_or_labels_the_page_says_why_there_is_no_progression(tmp_path):
    page, _ = write(tmp_path, training_clips=[])
    assert "There is no chart: phase_progression: no training clip is left." in page.words()
    page, _ = write(tmp_path, phases=[], clips=samples.make_clips(count=2, labelled=False))
    assert (
        "There is no chart: phase_progression: no key event (it takes two phases, there are 0) is left." in page.words()
    )


def test_tau_of_each_pair_names_the_outliers_and_what_is_undefined(tmp_path):
    clips = samples.make_clips(count=4)
    clips[1].values[:] = clips[1].values[::-1].copy()
    clips[2].values[:] = 1.0
    metrics = samples.make_metrics()
    metrics["kendalls_tau"]["details"]["outliers"] = ["clip_01.mp4"]
    page, _ = write(tmp_path, clips=clips, metrics=metrics)
    assert "★ clip_01.mp4" in chart_text(page, "Matrix of Kendall's tau between 4 test clips.")
    (chart,) = (chart for chart in charts(page) if "Kendall's tau between" in chart["alt"])
    assert re.search(r"lowest −?-?[01].\d+, frames of clip_0\d.mp4 in clip_0\d.mp4; highest", chart["alt"])
    assert "undefined for 6 pairs." in chart["alt"]
    assert "outliers (median below 0): clip_01.mp4." in page.words()


def test_many_clips_are_thinned_out_in_the_matrix_of_tau(tmp_path):
    clips = [samples.make_clip(f"{index:02d}", length=12, pace=1.0) for index in range(45)]
    frames = {clips[0].name: []}
    page, _ = write(tmp_path, clips=clips, frames=frames)
    assert "Matrix of Kendall's tau between 40 test clips." in " ".join(chart["alt"] for chart in charts(page))
    assert "40 of the 45 test clips, evenly spread" in page.words()


def test_one_clip_has_no_matrix_of_tau(tmp_path):
    assert "There is no matrix of tau: it takes two clips." in write(tmp_path)[0].words()


def test_the_map_states_the_variance_that_it_holds(whole):
    clips = samples.make_clips(count=4)
    frames = np.concatenate([clip.values for clip in clips])
    spectrum = np.linalg.eigvalsh(np.cov(frames.T))[::-1]
    held = spectrum / spectrum.sum()
    page, _ = whole
    assert f"The axes hold {held[:2].sum():.0%} of the variance" in page.words()
    text = chart_text(page, "Scatter plot of 132 frames of 4 test clips")
    assert f"first component ({held[0]:.0%} of the variance)" in text
    assert f"second component ({held[1]:.0%})" in text
    assert "time, share of the clip" in chart_text(page, "The same scatter plot of 132 frames of 4 test clips")
    assert "roll dip & turn rest" in text


def test_the_map_is_thinned_out(tmp_path):
    page, _ = write(tmp_path, clips=[samples.make_clip("long", length=2000, pace=1.0)])
    assert "1,500 of 2,000 frames" in page.words()


@pytest.mark.parametrize("size", [1, 2])
def test_embeddings_of_few_dimensions_have_a_map(tmp_path, size):
    clips = [dataclasses.replace(clip, values=clip.values[:, :size]) for clip in samples.make_clips(count=1)]
    page, _ = write(tmp_path, clips=clips, training_clips=[], frames={})
    assert "The axes hold 100% of the variance" in page.words()


def test_collapsed_embeddings_have_no_map_and_the_page_is_made(tmp_path):
    clips = [dataclasses.replace(clip, values=np.ones((len(clip), 3))) for clip in samples.make_clips(count=2)]
    page, _ = write(tmp_path, clips=clips)
    assert "There is no map: all embeddings are alike, or none is finite." in page.words()


def test_nearest_frames_are_shown_with_time_phase_and_whether_it_agrees(whole):
    page, _ = whole
    clips = {clip.name: clip for clip in samples.make_clips(count=4)}
    query = re.search(r"Left, frames of (clip_0\d.mp4)", page.words()).group(1)
    pictures = [image["alt"] for image in page.all("img") if image["alt"].startswith("Nearest")]
    assert len(pictures) == 5 * 3
    same = 0
    for alternative in pictures:
        at, name, seconds, phase = re.fullmatch(r"Nearest to (\S+) s: (\S+) at (\S+) s, (.*)", alternative).groups()
        frame = clips[query].values[round(float(at) * samples.FPS)]
        distances = [np.square(frame - value).sum() for value in clips[name].values]
        assert np.argmin(distances) == round(float(seconds) * samples.FPS)
        label = clips[name].labels[np.argmin(distances)]
        assert samples.PHASES[label] == phase
        same += label == clips[query].labels[round(float(at) * samples.FPS)]
    assert f"{same} of 15 lie in the same phase (✓)" in page.words()
    assert page.words().count("✓ same phase") == same
    assert page.words().count("✗ other phase") == 15 - same


def test_nearest_frames_without_labels_tell_of_no_phase(tmp_path):
    page, _ = write(tmp_path, phases=[], clips=samples.make_clips(count=3, labelled=False))
    assert len([image for image in page.all("img") if image["alt"].startswith("Nearest")]) == 10
    assert "✓" not in page.words() and "✗" not in page.words()


def test_settings_are_shown_as_luigi_reads_them_with_the_command(whole):
    page, _ = whole
    assert "<pre>luigi --module pipeline RunAll --local-scheduler</pre>" in page.source  # all settings are the defaults
    assert "[training]\nmethod = tcc_regression_variance\n" in page.source
    assert "train_fractions = 0.1, 0.5, 1.0" in page.source
    for section, options in Settings().as_dict().items():
        assert f"[{section}]" in page.source
        for option in options:
            # The place of the data folder is where the page lies, wherever it was moved.
            assert (f"\n{option} =" in page.source) == ((section, option) != ("execution", "data"))


def test_one_command_has_the_settings_that_are_not_the_defaults(tmp_path):
    settings = Settings(
        videos=VideosConfig(name="my clips", path="elsewhere"),
        training=TrainingConfig(num_steps=7, log_every=3),
        evaluation=EvaluationConfig(few_shot_videos=(1, 2)),
        features=FeaturesConfig(center=False),
    )
    page, _ = write(tmp_path, settings=settings.as_dict())
    options = (
        "--videos-name 'my clips' --features-center false --training-num-steps 7 --evaluation-few-shot-videos '1, 2'"
    )
    command = f"luigi --module pipeline RunAll --local-scheduler {options}"
    assert f"<pre>{html.escape(command)}</pre>" in page.source


def test_tables_and_pictures_can_be_read_aloud(whole):
    page, _ = whole
    assert all("scope" in attributes for attributes in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(len(attributes["alt"]) > 25 for attributes in page.all("img"))
    assert all(len(chart["alt"]) > 60 for chart in charts(page))
    grid, pair = (attributes["aria-label"] for attributes in page.all("video"))
    assert re.fullmatch(
        r"Test clip clip_0\d.mp4 and 3 other test clips in step with it, \d.\d seconds, no sound.", grid
    )
    assert re.fullmatch(r"Two .* in step. A is clip_03.mp4, B is clip_0\d.mp4, 4.8 seconds, no sound.", pair)
    assert page.all("html")[0]["lang"] == "en"


def test_the_video_on_the_page_decodes(whole, tmp_path):
    grid, video = whole[0].all("video")
    assert {"controls", "loop", "muted", "autoplay", "playsinline"} <= set(grid)
    assert {"controls", "loop", "muted", "playsinline", "preload"} <= set(video)
    assert "autoplay" not in video
    (tmp_path / "video.mp4").write_bytes(b64decode(video["src"].partition("base64,")[2]))
    with av.open(str(tmp_path / "video.mp4")) as file:
        frames = sum(1 for _ in file.decode(video=0))
    # The longest clip has 42 steps; 0.6 s are held at 10 frames per second.
    assert frames == 42 + 6
    assert video["poster"].startswith("data:image/jpeg;base64,")


def test_the_same_inputs_give_the_same_bytes_but_for_the_timing_block(tmp_path):
    pages = []
    settings = dataclasses.replace(
        Settings(),
        device=DeviceConfig(kind="cpu"),
        execution=ExecutionConfig(data="elsewhere"),
        videos=VideosConfig(path="moved"),
        training=TrainingConfig(log_every=7),
    )
    for changes in ({}, {"stages": samples.make_stages(seconds=9.5, host="beryl"), "settings": settings.as_dict()}):
        pages.append(write(tmp_path, num_clips=2, **changes)[0].source)
    assert "beryl" in pages[1]
    assert "elsewhere" not in pages[1] and "moved" in pages[1]  # where the data folder is, and where the videos were
    assert pages[0] != pages[1]
    assert without_timing(pages[0]) == without_timing(pages[1])


def test_a_page_without_its_timing_block_is_damaged(whole):
    assert "amber" in whole[0].source
    rest = without_timing(whole[0].source)
    assert "amber" not in rest
    assert 'id="provenance"' in rest
    assert rest.endswith("</html>\n")
    with pytest.raises(TargetError, match="no whole timing block: it is damaged; delete its folder and run again"):
        without_timing(rest)


def test_names_with_html_in_them_are_shown_as_they_are(tmp_path):
    evil = '<script>alert("1")</script> & <!-- timing block ends -->'
    clips = [dataclasses.replace(clip, name=f"{evil}{index}") for index, clip in enumerate(samples.make_clips(count=2))]
    stages = samples.make_stages()
    stages[0]["result"]["skipped"] = [{"clip": evil, "reason": evil}]
    metrics = {evil: samples.make_metric(evil, None, undefined=[{"what": evil, "reason": evil}])}
    page, _ = write(tmp_path, title=evil, clips=clips, phases=[evil, evil, evil], stages=stages, metrics=metrics)
    assert len(page.all("script")) == 1
    assert page.source.count("<!--") == 2
    assert page.words().count(evil) >= 8
    for image in charts(page):
        xml.etree.ElementTree.fromstring(b64decode(image["src"].partition("base64,")[2]))


def test_without_labels(tmp_path):
    page, counts = write(tmp_path, phases=[], clips=samples.make_clips(count=2, labelled=False))
    assert counts["videos"] == 2
    assert "without labels." in page.words()
    assert "legend" not in [attributes.get("class") for attributes in page.all("ul")]


def test_two_clips_are_enough(tmp_path):
    page, counts = write(tmp_path, num_clips=2)
    assert counts["videos"] == 2
    assert "of 1 pair of test clips" in page.words()


def test_one_clip_makes_no_video_and_the_page_says_why(tmp_path):
    page, counts = write(tmp_path)
    assert counts["videos"] == 0
    assert not page.all("video")
    assert "There is no video: an aligned video takes two clips" in page.words()
    assert "There is no similarity matrix: an aligned video takes two clips" in page.words()
    assert "Measured once on 1 test clip (24 frames" in page.words()


def test_the_last_checkpoint_needs_no_scores(tmp_path):
    scores = [{"step": 300, "value": None, "reason": "not scored: the rule is last"}]
    selection = {"rule": "last", "step": 300, "why": "the last checkpoint", "scores": scores}
    page, _ = write(tmp_path, selection=selection)
    assert not [chart for chart in charts(page) if "on the validation split" in chart["alt"]]
    assert "Checkpoint 300 is used: the last checkpoint." in page.words()
    assert "Checkpoint 300 was chosen: the last checkpoint." in page.words()


def test_no_history(tmp_path):
    selection = {**samples.make_selection(), "scores": []}
    page, _ = write(tmp_path, history=[], selection=selection)
    assert not [chart for chart in charts(page) if "loss" in chart["alt"]]
    assert "There is no history of losses." in page.words()


def test_cosine_distance(tmp_path):
    settings = Settings().as_dict()
    settings["evaluation"]["distance"] = "cosine"
    page, counts = write(tmp_path, num_clips=2, settings=settings)
    assert counts["videos"] == 2
    assert "Distance (cosine)" in page.words()


def test_fewer_frames_than_steps_are_refused(tmp_path):
    clips = samples.make_clips(count=2)
    frames = {clip.name: samples.draw_frames(clip)[:5] for clip in clips}
    with pytest.raises(ShapeError, match=r"5 frames for \d\d steps; pass one frame for each step"):
        write(tmp_path, clips=clips, frames=frames)


def test_rendered_videos_are_shown_in_their_own_shape(whole, tmp_path):
    folder = Settings(videos=VideosConfig(source="folder")).as_dict()
    stretched, _ = write(tmp_path, num_clips=2, settings=folder)
    assert [int(video["width"]) for video in stretched.all("video")] == [2 * 32 + 3 * 8, 3 * 32 + 2 * 8]
    assert [int(video["width"]) for video in whole[0].all("video")] == [2 * 44 + 3 * 8, 3 * 44 + 2 * 8]


def test_progress_ends_at_one(tmp_path):
    told = []
    inputs = samples.make_inputs(clips=samples.make_clips(count=2))
    write_report(tmp_path / "report.html", inputs, SMALL, progress=lambda fraction, status: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1
