"""Hostile files under a hard limit of memory, in a process of their own, which has to stay silent."""

import subprocess
import sys
from pathlib import Path

import pytest
from media_makers import encoded, picture, png_header, sound_bytes, tone, video_bytes, wav_bytes, webp_header

CODE = """
import resource, sys
from pathlib import Path
from salon.errors import MediaError
from salon.media.audio import decode_audio
from salon.media.image import decode_image
from salon.media.video import sample_frames, scene_cuts, video_sound

pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (150 << 20),) * 2)
folder = Path(sys.argv[1])
assert len(decode_audio(folder / "long.wav", seconds=60)) == 60 * 16000
calls = {
    "long.wav": [decode_audio], "huge.png": [decode_image], "wide.png": [decode_image], "huge.webp": [decode_image],
    "broken.mp4": [sample_frames, scene_cuts, video_sound], "broken.mkv": [sample_frames, scene_cuts, video_sound],
    "broken.mp3": [decode_audio], "broken.jpg": [decode_image],
}
for name, one_by_one in calls.items():
    for call in one_by_one:
        try:
            call(folder / name)
        except MediaError as error:
            assert "memory" not in str(error), error
        else:
            assert name.startswith("broken"), name
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know the memory in use")
def test_hostile_files_are_refused_within_150_megabytes_and_in_silence(tmp_path: Path) -> None:
    head = wav_bytes(tone()[:0], 8000, declared=4 * 3600 * 16000)
    with (tmp_path / "long.wav").open("wb") as file:  # four hours of nothing, 230 MB, as a sparse file
        file.write(head)
        file.truncate(len(head) + 4 * 3600 * 16000)
    (tmp_path / "huge.png").write_bytes(png_header(12_000, 12_000))
    (tmp_path / "wide.png").write_bytes(png_header(2**31 - 1, 1))
    (tmp_path / "huge.webp").write_bytes(webp_header(12_000, 12_000))
    for name, container in [("broken.mp4", "mp4"), ("broken.mkv", "matroska")]:
        frames = [picture(seed=i) for i in range(12)]
        clip = bytearray(video_bytes(frames, container_format=container, codec="libx264", sound=tone()))
        for place in range(len(clip) // 4, len(clip) // 2, 7):
            clip[place] ^= 0x5A
        (tmp_path / name).write_bytes(clip)
    mp3 = sound_bytes(tone(0.2), 16000, "mp3", "libmp3lame")
    (tmp_path / "broken.mp3").write_bytes(mp3[:60] + bytes(range(256)) * 9)
    jpeg = encoded(picture(), "JPEG")
    (tmp_path / "broken.jpg").write_bytes(jpeg[:400] + bytes(range(200)) + jpeg[600:])
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, env=environment, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
