"""Why is this item here? The exact parts of a score, and whether they foretell what removal of an action does."""

import tempfile
from pathlib import Path

import numpy as np

import salon
from salon.evaluate.faithful import action_drops, spearman
from salon.explain import explain

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

    user = "p002"
    (answer,) = shop.recommend([user], k=1)
    why = shop.explain(answer.items[0].id, user=user)
    print(f"{why.title} for {user}: {why.words}")
    for part in why.parts[:4]:
        kinds = ", ".join(f"{name} {value:+.3f}" for name, value in part.by.items())
        print(f"    {part.id:13} {part.value:+.3f}   ({kinds})")
    total = sum(part.value for part in why.parts) + why.rest
    print(
        f"    all {len(why.parts)} parts and the rest sum to {total:.4f}; the score is {why.score:.4f} ({why.method})"
    )

    query = shop.queries([user])
    target = shop.dataset.items.ids.index([why.id])
    (evidence,) = explain(shop.fitted, query, target)
    parts = evidence.values.sum(axis=1)
    drops = action_drops(shop.fitted.score, query, int(target[0]))
    print("\nTake each action out of the history and look how far the score falls:")
    for row in np.argsort(-parts)[:4]:
        print(f"    {shop.dataset.items.ids[int(query.items[row])]:13} part {parts[row]:+.3f}   fall {drops[row]:+.3f}")
    print(f"Rank correlation over all {len(parts)} actions: {spearman(parts, drops):.2f}. It says that the parts are")
    print("true of the model. Whether the model is right about the person is another question.")


if __name__ == "__main__":
    main()
