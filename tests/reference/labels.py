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
