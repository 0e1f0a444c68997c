"""Makes a slug of each title, and leaves it as a file: a worker in 15 lines."""
import re

from milepost_task import Fail, Item, task


@task
def slugs(item: Item) -> object:
    words = re.findall(r"[a-z0-9]+", str(item.input.get("title", "")).lower())
    if not words:
        raise Fail("The record has no title.")
    item.progress(1, 2, "writing")
    item.file("slug.txt").write_text("-".join(words) + "\n")
    return {"slug": "-".join(words), "words": len(words)}


if __name__ == "__main__":
    slugs.run()
