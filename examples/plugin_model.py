"""A model of your own: a class, a table of names, an entry point. Then it is a model like any other."""

import sys
import tempfile
from pathlib import Path

from scipy import sparse

import salon
from salon.config import Settings
from salon.models.base import Recommender
from salon.registry import resolve
from salon.testing import check_recommender


class TogetherSettings(Settings):
    """Settings of `Together`."""

    damping: float = 0.5
    """Power of its popularity that an item's score is divided by."""


class Together(Recommender):
    """What people liked together, with popular items toned down."""

    settings: TogetherSettings
    handles_cold_users = True

    def _fit(self, data, items, rng, validation):
        rows = (data.positives() > 0).astype("float32")
        counts = rows.sum(axis=0)
        scale = sparse.diags_array(1 / counts.clip(1) ** self.settings.damping)
        return {"together_": sparse.csr_array(rows.T @ rows @ scale), "touched_": counts > 0}

    def _score(self, queries):
        scores = (queries.positives(self.n_items_) @ self.together_).toarray()
        scores[:, ~self.touched_] = -float("inf")
        return scores


COMPONENTS = {"model": {"together": "plugin_model:Together"}}
FAST = '[encode]\ntext = "hashing"\nimage = "colour"\naudio = "mfcc"\nvideo = "none"\n'

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "plugin_model-1.0.dist-info"  # what `pip install` of your package would write
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-model\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[salon.components]\nplugin-model = plugin_model:COMPONENTS\n")
        sys.path.append(folder)
        check_recommender(resolve("model", "together"))
        print("It keeps the whole contract of recommenders.")
        world = salon.worlds.draw_shop(Path(folder) / "shop", items=60, people=40)
        text = world.catalogue.read_text(encoding="utf-8").replace('"linear"', '"together"\n' + FAST)
        world.catalogue.write_text(text, encoding="utf-8")
        shop = salon.Pipeline.read(world.catalogue).fit()
        (answer,) = shop.recommend(["p001"], k=3, explained=True)
        for item in answer.items:
            print(f"    {item.id} - {item.title} ({item.source}): {item.why.words}")
