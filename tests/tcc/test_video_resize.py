"""Pictures to squares: what is shown, where, and that planes of less resolution go to the same place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tcc.video.resize import fit, placement, shrink, upright


def noise(height, width, channels=3):
    return np.random.default_rng([0, 7]).integers(0, 256, (height, width, channels)).astype(np.uint8)


def test_shrinking_keeps_the_mean_of_what_it_covers():
    """A mean of n pixels of noise deviates 1 / sqrt(n) as much; bilinear alone takes 4 pixels, whatever it skips."""
    image = noise(512, 1031)
    small = shrink(image, 64, 64)
    assert small.shape == (64, 64, 3)
    assert small.std() < 1.2 * image.std() / np.sqrt(512 * 1031 / 64**2)
    assert shrink(image, 600, 601).shape == (601, 600, 3)


def test_shrinking_is_near_the_exact_area():
    image = cv2.GaussianBlur(noise(721, 1281), (0, 0), 6)
    exact = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shrink(image, 224, 224) - exact).mean() < 1.0


@pytest.mark.parametrize(("height", "width"), [(40, 100), (47, 101)])
def test_columns_alone_are_halved_by_the_mean_of_two(height, width):
    image = noise(height, width + 3, 1)[:, :width, 0]
    pairs = image[:, : width // 2 * 2].reshape(height, width // 2, 2)
    means = np.floor(pairs.mean(axis=2) + 0.5).astype(np.uint8)
    assert np.array_equal(shrink(image, width // 2, height), means)
    assert np.array_equal(shrink(image, 40, 30), cv2.resize(means, (40, 30), interpolation=cv2.INTER_LINEAR))


def test_a_view_of_the_same_size_becomes_an_image_of_its_own():
    padded = noise(8, 12, 1)[..., 0]
    small = shrink(padded[:, :8], 8, 8)
    assert small.flags["C_CONTIGUOUS"] and np.array_equal(small, padded[:, :8])


def test_stretching_shows_all_of_the_picture():
    image = noise(64, 96)
    assert np.array_equal(fit(image, placement(96, 64, 48, "stretch")), shrink(image, 48, 48))


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"),
    [
        (96, 64, slice(8, 40), slice(0, 48)),
        (64, 96, slice(0, 48), slice(8, 40)),
        (1280, 720, slice(10, 37), slice(0, 48)),
        (1000, 1, slice(23, 24), slice(0, 48)),
        (50, 50, slice(0, 48), slice(0, 48)),
    ],
)
def test_a_letterbox_shows_all_of_the_picture_between_equal_bars(width, height, rows, columns):
    image = noise(height, width)
    boxed = fit(image, placement(width, height, 48, "letterbox"), bar=7)
    inside = np.zeros((48, 48), bool)
    inside[rows, columns] = True
    shown = boxed[rows, columns]
    assert np.array_equal(shown, shrink(image, shown.shape[1], shown.shape[0]))
    assert (boxed[~inside] == 7).all()


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (97, 64), (64, 65), (40, 40)])
def test_a_center_crop_is_the_largest_centered_square(width, height):
    image, side = noise(height, width), min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    expected = shrink(image[top : top + side, left : left + side], 32, 32)
    assert np.array_equal(fit(image, placement(width, height, 32, "center_crop")), expected)


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
@pytest.mark.parametrize(("width", "height"), [(320, 180), (180, 320), (322, 182)])
def test_a_plane_of_half_the_resolution_goes_to_the_same_place(resize, width, height):
    """A ramp, which resizing leaves a ramp of 1.4 to 5 levels a pixel: a step aside would show."""
    picture = np.add.outer(np.linspace(0, 90, height), np.linspace(0, 160, width)).astype(np.float32)
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    where = placement(width, height, 64, resize)
    whole, small = fit(picture, where, bar=128), fit(half, where, bar=128, size=(32, 32))
    assert np.abs(shrink(whole, 32, 32) - small).mean() < 1.2


def test_upright_turns_clockwise():
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 255
    corners = {degrees: tuple(np.argwhere(upright(image, degrees)[..., 0])[0]) for degrees in (0, 90, 180, 270)}
    assert corners == {0: (0, 0), 90: (0, 3), 180: (3, 3), 270: (3, 0)}
