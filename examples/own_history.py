"""Recommendations for somebody who is in no table: a person is a list of item ids, and nothing is trained again."""

import tempfile
from pathlib import Path

import salon

FAST = """
[encode]
text = "hashing"
image = "colour"
audio = "mfcc"
video = "none"
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = salon.worlds.draw_shop(Path(folder), items=60, people=40)
        with world.catalogue.open("a", encoding="utf-8") as file:
            file.write(FAST)
        shop = salon.Pipeline.read(world.catalogue).fit()

    items = shop.dataset.items
    history = [items.ids[row] for row in (0, 3, 8)]
    print("A stranger liked:")
    for row in (0, 3, 8):
        print(f"    {items.ids[row]} - {items.title(row)}")

    (answer,) = shop.recommend(histories=[history], k=3, explained=True)
    print("Then:")
    for item in answer.items:
        print(f"    {item.id} - {item.title} ({item.score:.3f})\n        {item.why.words}")

    best = answer.items[0].id
    (again,) = shop.recommend(histories=[[*history, best]], k=3)
    print(f"A moment later the stranger likes {best} too, and the list moves on without a new fit:")
    print("    " + ", ".join(f"{item.id} ({item.score:.3f})" for item in again.items))


if __name__ == "__main__":
    main()
