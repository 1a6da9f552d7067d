"""Labels of frames by plain loops."""

from __future__ import annotations

from decimal import Decimal


def frame_labels(segments, phases, timestamps):
    """Phase index of each time, -1 outside any segment; exact decimal arithmetic on what the numbers print as."""
    labels = []
    for time in timestamps:
        label = -1
        for segment in segments:
            if Decimal(str(segment.start_seconds)) <= Decimal(str(time)) < Decimal(str(segment.end_seconds)):
                label = phases.index(segment.phase)
        labels.append(label)
    return labels


def merge_annotations(annotations_us):
    """Mean of the annotators, then each end and the next start moved to the middle between them."""
    phases = []
    for drawn in annotations_us.values():
        for phase in drawn:
            if phase not in phases:
                phases.append(phase)
    merged = {}
    for phase in phases:
        starts = [drawn[phase][0] for drawn in annotations_us.values() if phase in drawn]
        ends = [drawn[phase][1] for drawn in annotations_us.values() if phase in drawn]
        merged[phase] = [sum(starts) / len(starts) / 1e6, sum(ends) / len(ends) / 1e6]
    ordered = sorted(phases, key=lambda phase: merged[phase][0])
    for i in range(len(ordered) - 1):
        middle = (merged[ordered[i]][1] + merged[ordered[i + 1]][0]) / 2
        merged[ordered[i]][1] = middle
        merged[ordered[i + 1]][0] = middle
    return merged


def single_frames(rows, clip, phases, source_frames):
    """Phase index of each frame number from rows (clip, frame, phase), -1 where there is no row or no phase."""
    labels = []
    for wanted in source_frames:
        label = -1
        for name, frame, phase in rows:
            if name == clip and frame == wanted and phase:
                label = phases.index(phase)
        labels.append(label)
    return labels


def first_and_last_extended(merged, timestamps):
    """The phase of the segment that holds each time; the first one also holds what is before, the last one what is after."""
    in_time = sorted(merged, key=lambda phase: merged[phase])
    labels = []
    for time in timestamps:
        label = in_time[0]
        for phase in in_time:
            if merged[phase][0] <= time:
                label = phase
        labels.append(int(label))
    return labels


def shows_phases_in_order(labels, num_phases):
    """Whether the labels, without -1 and with repetitions taken as one, are 0, 1, ... num_phases - 1."""
    seen = []
    for label in labels:
        if label != -1 and (not seen or seen[-1] != label):
            seen.append(label)
    return seen == list(range(num_phases))


def gaps(labels):
    """First and last frame of each stretch of -1 between labelled frames."""
    found, start = [], None
    labelled = [frame for frame, label in enumerate(labels) if label != -1]
    for frame in range(labelled[0], labelled[-1] + 1) if labelled else []:
        if labels[frame] == -1 and start is None:
            start = frame
        if labels[frame] != -1 and start is not None:
            found.append((start, frame - 1))
            start = None
    return found
