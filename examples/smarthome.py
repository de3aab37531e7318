"""Which activity is it? Sensor series of a smart home (Ordonez A), one file per activity, told apart by neighbours.

Each of 12 on/off sensors is a channel, every ten seconds from two minutes before an activity to two minutes after it;
nothing else is known. Guessed is the activity of the most similar series of another day."""

import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

import salon

DATA = Path(__file__).resolve().parents[2] / "shared/data/smarthome-ordonezA"
STEP, MARGIN = 10, 120  # seconds


def seconds(column: pl.Series) -> np.ndarray:
    return np.array([datetime.fromisoformat(cell.strip()).replace(tzinfo=UTC).timestamp() for cell in column])


def cut(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    log = pl.read_csv(DATA / "interactions.csv")
    sensors = pl.read_csv(DATA / "sensor_events.csv")
    names = (sensors["location"] + "-" + sensors["place"]).to_numpy()
    on, off = seconds(sensors["start_time"]), seconds(sensors["end_time"])
    start = log["timestamp"].to_numpy()
    for row, end in enumerate(seconds(log["end_time"])):
        grid = np.arange(start[row] - MARGIN, end + MARGIN, STEP)
        active = {str(n): np.zeros(len(grid), int) for n in np.unique(names)}
        for name, first, last in zip(names, on, off, strict=True):
            active[name] |= (grid + STEP > first) & (grid <= last)
        pl.DataFrame({"time": grid} | active).write_csv(folder / f"{row}.csv")
    rows = [f"{row},{row}.csv" for row in range(len(log))]
    (folder / "items.csv").write_text("\n".join(["item_id,home", *rows]))
    return log["item_id"].to_numpy(), start // 86400


def main(encoder: str = "series") -> None:
    if not DATA.is_dir():
        sys.exit(print(f"The sensor series are not here ({DATA}); nothing is shown."))
    with tempfile.TemporaryDirectory() as folder:
        activity, day = cut(Path(folder))
        shop = Path(folder) / "shop.toml"
        shop.write_text(f'[items]\npath = "items.csv"\nseries = "home"\n[encode]\nseries = "{encoder}"\n')
        vectors = salon.Pipeline.read(shop).encode().features["series"].vectors
    distance = ((vectors[:, None].astype(float) - vectors[None]) ** 2).sum(axis=2)
    distance[day[:, None] == day] = np.inf  # the same day is no test
    right = (activity[distance.argmin(axis=1)] == activity).mean()
    name, count = Counter(activity.tolist()).most_common(1)[0]
    print(f"{len(activity)} activities: nearest of the sensor series of other days {right:.3f} right")
    print(f"always {name!r} {count / len(activity):.3f} right")


if __name__ == "__main__":
    main(*sys.argv[1:])
