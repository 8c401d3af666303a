"""Drawn faces: seeded, of the right kind, telling people apart but not by their pixels."""

import io

import numpy as np
import pytest
from methodical.components.data.faces.options import SimulatorOptions
from methodical.components.data.faces.pairs import draw_id_pairs
from methodical.components.data.faces.simulator import simulator
from PIL import Image


def images_of(options, identities, images):
    """Returns float32 pixels `(identities, images, S, S, 3)`."""
    return np.stack(
        [
            [simulator.simulate_pixels(options, who, image)[0] for image in range(images)]
            for who in range(identities)
        ]
    ).astype(np.float32)


@pytest.mark.parametrize(("file_format", "kind"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_images_are_small_color_files_with_eyes_inside(file_format, kind):
    options = SimulatorOptions(images=6, size=48, file_format=file_format, nuisance=1.5)
    faces = [face for who in range(8) for face in simulator.simulate_identity(options, who)]
    assert len({face.id for face in faces}) == 48
    assert faces[0].id == "Person_0001/Person_0001_0001"
    for face in faces:
        image = Image.open(io.BytesIO(face.image))
        assert (image.format, image.mode, image.size) == (kind, "RGB", (48, 48))
        left_x, left_y, right_x, right_y = face.eyes
        assert 0 < left_x < right_x < 48
        assert 0 < left_y < 48
        assert 0 < right_y < 48


def test_eyes_are_where_the_pupils_are():
    options = SimulatorOptions(nuisance=0, size=128, file_format="png")
    for who in range(12):
        pixels, eyes = simulator.simulate_pixels(options, who, 0)
        for x, y in (eyes[:2], eyes[2:]):
            # The pupil is darker than the white of the eye beside it.
            center = pixels[int(y), int(x)].astype(int).sum()
            around = pixels[int(y) - 1 : int(y) + 2, int(x) - 12 : int(x) + 13].astype(int).sum(-1)
            assert center < 250
            assert around.max() > center + 200


def test_seed_says_all_and_a_larger_set_begins_with_the_smaller():
    small, large = SimulatorOptions(identities=3, images=2), SimulatorOptions(images=4)
    first = list(simulator.simulate_identity(small, 2))
    assert first == list(simulator.simulate_identity(small, 2))
    assert first == list(simulator.simulate_identity(large, 2))[:2]
    other = list(simulator.simulate_identity(SimulatorOptions(seed=1, images=2), 2))
    assert all(one.image != another.image for one, another in zip(first, other, strict=True))
    assert first[0].image != first[1].image


def test_without_nuisance_only_background_and_clothes_differ():
    pixels = images_of(SimulatorOptions(nuisance=0), 4, 5)
    # The middle of the face, from the brows to the mouth.
    middle = pixels[:, :, 26:46, 22:42]
    within = np.abs(middle - middle[:, :1]).max()
    assert within == 0
    assert np.abs(middle[:, 0, None] - middle[None, :, 0]).mean(axis=(2, 3, 4))[0, 1:].min() > 5
    assert np.abs(pixels[:, 0, :6] - pixels[:, 1, :6]).mean() > 10


def test_people_differ_in_the_mean_and_images_in_the_pixels():
    pixels = images_of(SimulatorOptions(), 30, 8).reshape(240, -1) / 255
    identities = np.repeat(np.arange(30), 8)
    squares = (pixels**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * pixels @ pixels.T
    np.fill_diagonal(distances, np.inf)
    nearest = identities[distances.argmin(1)] == identities
    # Chance is 0.03: people can be told apart, but pixels do not suffice.
    assert 0.08 < nearest.mean() < 0.5
    names = [(f"{who}", f"{who}/{image}") for who in range(30) for image in range(8)]
    place = {name: index for index, (_, name) in enumerate(names)}
    pairs = draw_id_pairs(names, 400, 2, 0)
    of_pair = np.array([distances[place[one.first], place[one.second]] for one in pairs])
    same = np.array([one.identities[0] == one.identities[1] for one in pairs])
    best = max(((of_pair < threshold) == same).mean() for threshold in of_pair)
    assert 0.55 < best < 0.75


def test_nuisance_grows():
    def spread(nuisance):
        pixels = images_of(SimulatorOptions(nuisance=nuisance), 5, 6)[:, :, 16:48, 16:48]
        return pixels.std(axis=1).mean()

    assert spread(0) < spread(0.5) < spread(1) < spread(2)
