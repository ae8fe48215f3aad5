"""20 newsgroups, classified by their descriptions alone."""

from __future__ import annotations

from tlzoo.data.datasets.text_zeroshot import ClassTexts, tab_zeroshot
from tlzoo.data.tasks import ZeroShotTask

__all__ = ["NEWSGROUPS", "newsgroups"]

NEWSGROUPS = {
    "alt.atheism": ClassTexts("atheism", "a debate about atheism, the existence of god and arguments against religion"),
    "comp.graphics": ClassTexts(
        "computer graphics", "a question about computer graphics, image formats, rendering and 3d software"
    ),
    "comp.os.ms-windows.misc": ClassTexts(
        "Microsoft Windows operating system",
        "a problem with Microsoft Windows, its drivers and files",
    ),
    "comp.sys.ibm.pc.hardware": ClassTexts(
        "IBM PC hardware", "a question about PC hardware: disk drives, controllers, motherboards, cards"
    ),
    "comp.sys.mac.hardware": ClassTexts(
        "Apple Macintosh hardware", "a question about Apple Macintosh computers, their memory and monitors"
    ),
    "comp.windows.x": ClassTexts(
        "X Window System on Unix", "programming with the X Window System, motif, widgets and Unix servers"
    ),
    "misc.forsale": ClassTexts("items for sale", "an offer of items for sale, with price, condition and shipping"),
    "rec.autos": ClassTexts("cars", "a discussion of cars, engines, dealers and driving"),
    "rec.motorcycles": ClassTexts("motorcycles", "a discussion of motorcycles, riding and helmets"),
    "rec.sport.baseball": ClassTexts("baseball", "a discussion of baseball teams, pitchers and games"),
    "rec.sport.hockey": ClassTexts("ice hockey", "a discussion of ice hockey, the nhl, players and playoffs"),
    "sci.crypt": ClassTexts(
        "cryptography and encryption", "a discussion of encryption, keys, privacy and the clipper chip"
    ),
    "sci.electronics": ClassTexts(
        "electronics", "a question about electronics: circuits, voltages, components and wiring"
    ),
    "sci.med": ClassTexts("medicine and health", "a discussion of medicine, diseases, doctors and treatment"),
    "sci.space": ClassTexts("outer space", "a discussion of space flight, nasa, orbits, the moon and astronomy"),
    "soc.religion.christian": ClassTexts(
        "Christianity", "a discussion of Christian faith, the bible, Jesus, church and sin"
    ),
    "talk.politics.guns": ClassTexts("gun politics", "a debate about guns, firearms laws, weapons and self-defense"),
    "talk.politics.mideast": ClassTexts(
        "Middle East politics", "a debate about Israel, Arabs, Turkey, Armenia and war in the Middle East"
    ),
    "talk.politics.misc": ClassTexts(
        "politics", "a debate about politics, government, taxes, the president and rights"
    ),
    "talk.religion.misc": ClassTexts("religion", "a debate about religion, beliefs, morality, cults and scripture"),
}
"""Group -> its description, written once before any result was known."""


def newsgroups(name: str) -> ZeroShotTask:
    """Build ``newsgroups``: the whole test set, the first 600 characters of each post, without labels."""
    files = {"file": "20newsgroups-test.tab", "development": "20newsgroups-train.tab"}
    return tab_zeroshot(name, NEWSGROUPS, **files, source="newsgroups")
