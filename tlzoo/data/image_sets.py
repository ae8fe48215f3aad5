"""The picture sets of domain adaptation that users have on disk: a table, light to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["IMAGE_SETS", "ImageSet"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A set of pictures in several domains.

    Attributes:
        title: its name.
        domains: its domains, by the names of their folders.
        classes: how many it has.
        pictures: how many, and where they are to be had.
        source: where it is to be had.
        spelled: domain -> other names of its folder.
        only: the classes of a subset; empty for all.
        official: whether lists divide each domain into training and test pictures; otherwise 70 % are for training.
        pairs: the pairs of published tables; empty for all.
        metric: its figure in published tables.
        partial: the classes that the target of the partial variant keeps: names, or so many of the first ones in
            alphabetical order; 0 without that variant.
        known: the classes of the source in the open variant, given likewise; all others are one class, ``unknown``.
        shared: the classes that both domains have in the universal variant, given likewise; 0 without that variant.
        private: of the others, in alphabetical order, how many the source has; the target has the rest, ``unknown``.
    """

    title: str
    domains: tuple[str, ...]
    classes: int
    pictures: int
    source: str
    spelled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    official: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    metric: Literal["accuracy", "balanced_accuracy"] = "accuracy"
    partial: tuple[str, ...] | int = 0
    known: tuple[str, ...] | int = 0
    shared: tuple[str, ...] | int = 0
    private: int = 0


_OFFICE_CALTECH = (
    *("back_pack", "bike", "calculator", "headphones", "keyboard"),
    *("laptop_computer", "monitor", "mouse", "mug", "projector"),
)
_DOMAINNET_126 = tuple(
    "The_Eiffel_Tower The_Great_Wall_of_China aircraft_carrier alarm_clock ant anvil asparagus axe banana basket "  # noqa: SIM905
    "bathtub bear bee bird blackberry blueberry bottlecap broccoli bus butterfly cactus cake calculator camel camera "
    "candle cannon canoe carrot castle cat ceiling_fan cell_phone cello chair chandelier coffee_cup compass computer "
    "cow crab crocodile cruise_ship dog dolphin dragon drums duck dumbbell elephant eyeglasses feather fence fish "
    "flamingo flower foot fork frog giraffe goatee grapes guitar hammer helicopter helmet horse kangaroo lantern "
    "laptop leaf lion lipstick lobster microphone monkey mosquito mouse mug mushroom onion panda peanut pear peas "
    "pencil penguin pig pillow pineapple potato power_outlet purse rabbit raccoon rhinoceros rifle saxophone "
    "screwdriver sea_turtle see_saw sheep shoe skateboard snake speedboat spider squirrel strawberry streetlight "
    "string_bean submarine swan table teapot teddy-bear television tiger toe train truck umbrella vase watermelon "
    "whale zebra".split()
)
_DOMAINNET_SOURCE = "https://ai.bu.edu/M3SDA (the cleaned version)"

IMAGE_SETS: dict[str, ImageSet] = {
    "office31": ImageSet(
        title="Office-31",
        domains=("amazon", "dslr", "webcam"),
        classes=31,
        pictures=4110,
        source="https://faculty.cc.gatech.edu/~judy/domainadapt",
        partial=_OFFICE_CALTECH,
        known=20,
        shared=_OFFICE_CALTECH,
        private=10,
    ),
    "office_home": ImageSet(
        title="Office-Home",
        domains=("Art", "Clipart", "Product", "Real_World"),
        spelled={"Real_World": ("Real World", "RealWorld")},
        classes=65,
        pictures=15588,
        source="https://www.hemanthdv.org/officeHomeDataset.html",
        partial=25,
        known=25,
        shared=10,
        private=5,
    ),
    "visda2017": ImageSet(
        title="VisDA-2017",
        domains=("train", "validation"),
        classes=12,
        pictures=207785,
        source="https://github.com/VisionLearningGroup/taskcv-2017-public (classification)",
        pairs=(("train", "validation"),),
        metric="balanced_accuracy",
        partial=6,
        known=("bicycle", "bus", "car", "motorcycle", "train", "truck"),
        shared=6,
        private=3,
    ),
    "domainnet": ImageSet(
        title="DomainNet",
        domains=("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        classes=345,
        pictures=586575,
        source=_DOMAINNET_SOURCE,
        official=True,
        shared=150,
        private=50,
    ),
    "domainnet126": ImageSet(
        title="DomainNet-126",
        domains=("clipart", "painting", "real", "sketch"),
        classes=126,
        pictures=142334,
        source=_DOMAINNET_SOURCE,
        only=_DOMAINNET_126,
    ),
    "pacs": ImageSet(
        title="PACS",
        domains=("art_painting", "cartoon", "photo", "sketch"),
        classes=7,
        pictures=9991,
        source="https://sketchx.eecs.qmul.ac.uk/downloads",
    ),
}
"""Name of the family of tasks -> set."""
