"""Decoding pictures of every kind, and refusing the dangerous ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_makers import encoded, picture, png_header, webp_header
from PIL import Image

from salon.errors import DataError, MediaError
from salon.media import MediaLimits
from salon.media import image as im

PICTURE = picture()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_lossless_pictures_come_back_exactly(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "misleading.txt"  # the content counts, not the suffix
    path.write_bytes(encoded(PICTURE, kind, **({"lossless": True} if kind == "WEBP" else {})))
    decoded = im.decode_image(path)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, PICTURE)


def test_a_jpeg_comes_back_nearly(tmp_path: Path) -> None:
    decoded = im.decode_image(encoded(PICTURE, "JPEG", quality=95))
    assert np.abs(decoded.astype(int) - PICTURE).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int) -> None:
    upright = PICTURE
    stored = {  # how the camera stored what should be seen as `upright`
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = im.decode_image(encoded(np.ascontiguousarray(stored), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, upright)


def test_damaged_exif_does_not_cost_the_picture() -> None:
    good = encoded(PICTURE, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(im.decode_image(good), PICTURE)


def test_transparency_is_laid_on_white() -> None:
    alpha = np.zeros((*PICTURE.shape[:2], 1), np.uint8)
    alpha[:24] = 255
    decoded = im.decode_image(encoded(Image.fromarray(np.concatenate([PICTURE, alpha], axis=2)), "PNG"))
    np.testing.assert_array_equal(decoded[:24], PICTURE[:24])
    assert (decoded[24:] == 255).all()


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert (im.decode_image(encoded(image, "PNG", transparency=1)) == 255).all()
    assert (im.decode_image(encoded(image, "PNG"))[0, 0] == [0, 0, 255]).all()


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG")])
def test_other_modes_become_rgb(mode: str, kind: str) -> None:
    image = Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)
    decoded = im.decode_image(encoded(image, kind))
    assert decoded.shape == (8, 8, 3)
    assert decoded.min() > 250


def test_sixteen_bit_grey_keeps_its_upper_byte() -> None:
    levels = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    np.testing.assert_array_equal(im.decode_image(encoded(levels, "PNG"))[0, :, 0], [0, 1, 128, 255])


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (im.decode_image(data) == [255, 0, 0]).all()


@pytest.mark.parametrize("header", [png_header, webp_header])
def test_a_header_that_promises_too_many_pixels_is_refused(header) -> None:  # type: ignore[no-untyped-def]
    for width, height in [(10_000, 5_001), (16_000_000, 200), (8_000, 8_000)]:
        with pytest.raises(MediaError, match=r"pixels, more than the limit of 50,000,000|far too many pixels"):
            im.decode_image(header(width, height))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_the_pixel_limit_holds_for_every_format(kind: str) -> None:
    data = encoded(PICTURE, kind)
    assert im.decode_image(data, limits=MediaLimits(max_pixels=48 * 64)).shape == (48, 64, 3)
    with pytest.raises(MediaError, match=r"3,072 pixels, more than the limit of 3,071.*MediaLimits\.max_pixels"):
        im.decode_image(data, limits=MediaLimits(max_pixels=48 * 64 - 1))


@pytest.mark.parametrize("lossless", [True, False])
def test_the_webp_header_is_read_before_libwebp_sees_it(lossless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(MediaError, match="3,072 pixels"):
        im.decode_image(encoded(PICTURE, "WEBP", lossless=lossless), limits=MediaLimits(max_pixels=100))


def test_formats_outside_the_list_are_refused_until_they_are_listed() -> None:
    data = encoded(PICTURE, "TIFF")
    with pytest.raises(MediaError, match="Allowed formats: PNG, JPEG"):
        im.decode_image(data)
    np.testing.assert_array_equal(im.decode_image(data, limits=MediaLimits(image_formats=("TIFF",))), PICTURE)


def test_floating_point_pixels_are_refused() -> None:
    data = encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(MediaError, match="floating-point"):
        im.decode_image(data, limits=MediaLimits(image_formats=("TIFF",)))


def test_the_byte_limit_and_text_in_disguise_are_refused() -> None:
    with pytest.raises(MediaError, match=r"max_bytes"):
        im.decode_image(encoded(PICTURE, "PNG"), limits=MediaLimits(max_bytes=100))
    with pytest.raises(MediaError, match="not a readable picture"):
        im.decode_image(b"<svg onload='x'></svg>")
    with pytest.raises(MediaError, match="Path or bytes, not str"):
        im.decode_image("photo.png")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_file_cut_short_anywhere_is_refused(kind: str) -> None:
    data = encoded(PICTURE, kind)
    for twentieth in range(20):
        with pytest.raises(MediaError):
            im.decode_image(data[: len(data) * twentieth // 20])


FILES = {kind: encoded(PICTURE, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")}


@settings(max_examples=150)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_flipped_bytes_give_a_picture_or_a_media_error(kind: str, data: st.DataObject) -> None:
    broken = bytearray(FILES[kind])
    reach = data.draw(st.sampled_from([64, len(broken)]))
    for place in data.draw(st.lists(st.integers(0, reach - 1), min_size=1, max_size=6)):
        broken[place] = data.draw(st.integers(0, 255))
    try:
        decoded = im.decode_image(bytes(broken), limits=MediaLimits(max_pixels=100_000))
    except MediaError:
        return
    assert decoded.ndim == 3
    assert decoded.dtype == np.uint8


def test_resize_keeps_plain_colours_and_takes_height_first() -> None:
    plain = np.full((10, 20, 3), 77, np.uint8)
    assert im.resize(plain, (5, 7)).shape == (5, 7, 3)
    assert (im.resize(plain, (30, 40), method="lanczos") == 77).all()


def test_letterbox_keeps_the_proportions_and_fills_the_bars() -> None:
    boxed = im.letterbox(np.zeros((10, 20, 3), np.uint8), (40, 40))
    assert boxed.shape == (40, 40, 3)
    assert (boxed[:10] == 255).all()
    assert (boxed[10:30] == 0).all()
    assert (boxed[30:] == 255).all()
    thin = im.letterbox(np.zeros((1000, 1, 3), np.uint8), (10, 10), fill=9)
    assert (thin.min(axis=(0, 2)) == 0).sum() == 1
    assert thin[0, 0, 0] == 9


def test_crops_are_taken_where_asked() -> None:
    np.testing.assert_array_equal(im.crop(PICTURE, 2, 3, 4, 5), PICTURE[2:6, 3:8])
    np.testing.assert_array_equal(im.centre_crop(PICTURE, (48, 60)), PICTURE[:, 2:62])
    with pytest.raises(DataError, match="not inside"):
        im.crop(PICTURE, 45, 0, 4, 4)
    with pytest.raises(DataError, match="not inside"):
        im.centre_crop(PICTURE, (49, 4))


def test_grayscale_weighs_the_channels_as_bt601() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_array_equal(im.grayscale(primaries), [[76, 150, 29, 255]])


def test_the_median_takes_out_a_speck_and_the_gaussian_grain() -> None:
    plain = np.full((9, 9, 3), 100, np.uint8)
    speck = plain.copy()
    speck[4, 4] = 255
    np.testing.assert_array_equal(im.median_denoise(speck), plain)
    grain = np.clip(100 + np.random.default_rng(0).normal(0, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
    assert im.gaussian_denoise(grain, sigma=1.5).std() < grain.std() / 3


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_that_are_no_pictures_are_refused(wrong: np.ndarray) -> None:
    for call in (im.grayscale, im.median_denoise, im.gaussian_denoise, lambda x: im.resize(x, (2, 2))):
        with pytest.raises(DataError, match="uint8"):
            call(wrong)  # type: ignore[operator]


def test_settings_out_of_range_are_refused() -> None:
    for call in (
        lambda: im.resize(PICTURE, (0, 4)), lambda: im.letterbox(PICTURE, (4, 0)),
        lambda: im.median_denoise(PICTURE, size=2), lambda: im.gaussian_denoise(PICTURE, sigma=0.0),
    ):  # fmt: skip
        with pytest.raises(DataError):
            call()


@pytest.mark.shared
def test_real_photos_decode(shared_data: Path) -> None:
    folder = shared_data / "clothing-images" / "media" / "images"
    photos = [im.decode_image(path) for path in sorted(folder.iterdir())[:20]]
    assert len(photos) == 20
    assert min(photo.std() for photo in photos) > 5
