"""Items that nobody has touched: recommended from what they look, read and sound like, and measured honestly."""

import tempfile
from pathlib import Path

import salon
from salon.pipeline_judge import judge

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

    touched = shop.dataset.touched()
    ids = shop.dataset.items.ids
    old = [ids[row] for row in range(len(ids)) if touched[row]]
    print(f"{len(ids) - len(old)} of {len(ids)} items are new: nobody has touched them.")
    (answer,) = shop.recommend(["p001"], k=3, exclude=old, explained=True)
    print("The best of them for p001:")
    for item in answer.items:
        print(f"    {item.id} - {item.title} ({item.score:.3f}, from {item.source})\n        {item.why.words}")

    print("\nHide a fifth of the touched items from training and ask who finds them again:")
    trial = judge(shop, ["linear", "contentknn", "ease", "popular", "random"], protocol="cold")
    print(f"    {trial.report.setting.candidates} are ranked, which is why even chance scores well.")
    for result in trial.report.models:
        ndcg = result.metrics["ndcg@10"]
        print(f"    {result.name:12} nDCG@10 {ndcg.mean:.3f}  (95 %: {ndcg.low:.3f} to {ndcg.high:.3f})")
    print("A model that knows clicks alone has no answer for an untouched item, and gets 0.")


if __name__ == "__main__":
    main()
