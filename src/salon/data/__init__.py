"""What we were given: items, events and users as frozen values, and how they are read, split and checked."""

from salon.data.dataset import Dataset
from salon.data.events import Events
from salon.data.ids import IdMap
from salon.data.items import Field, Items, Users
from salon.data.queries import Holdout, Queries

__all__ = ["Dataset", "Events", "Field", "Holdout", "IdMap", "Items", "Queries", "Users"]
