"""The steps. A step that was released is never edited: what it made is somebody's database."""
