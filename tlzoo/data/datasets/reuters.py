"""Reuters news by topic, classified by the topics' descriptions alone."""

from __future__ import annotations

from tlzoo.data.datasets.text_zeroshot import ClassTexts, tab_zeroshot
from tlzoo.data.tasks import ZeroShotTask

__all__ = ["R8", "R52", "reuters_r8", "reuters_r52"]


R8 = {
    "acq": ClassTexts(
        "mergers and acquisitions", "a company buys shares or assets of another, a merger, takeover or stake"
    ),
    "crude": ClassTexts("crude oil", "oil prices, barrels of crude, opec and production"),
    "earn": ClassTexts(
        "company earnings", "quarterly results of a company: net profit, cents per share, revenues, dividend"
    ),
    "grain": ClassTexts("grain and crops", "tonnes of wheat, corn and other grain, harvests and exports"),
    "interest": ClassTexts(
        "interest rates", "interest rates, the prime rate, central bank lending and money market rates"
    ),
    "money-fx": ClassTexts(
        "foreign exchange and the money market", "the dollar, yen and mark, exchange rates and currency intervention"
    ),
    "ship": ClassTexts("shipping", "ships, ports, cargo, vessels, strikes of seamen and attacks on tankers"),
    "trade": ClassTexts(
        "international trade", "trade deficits and surpluses, tariffs, imports, exports and trade disputes"
    ),
}
"""Topic -> its description, written once before any result was known."""

R52 = {
    **R8,
    "alum": ClassTexts("aluminium", "aluminium smelters, prices and output"),
    "bop": ClassTexts("balance of payments", "a country's balance of payments and current account"),
    "carcass": ClassTexts("meat", "beef, pork and meat imports and slaughter"),
    "cocoa": ClassTexts("cocoa", "cocoa beans, buffer stock and the cocoa organization"),
    "coffee": ClassTexts("coffee", "coffee quotas, prices, exports and growers"),
    "copper": ClassTexts("copper", "copper mines, prices and producers"),
    "cotton": ClassTexts("cotton", "cotton crops, bales and exports"),
    "cpi": ClassTexts("consumer prices", "the consumer price index and inflation"),
    "cpu": ClassTexts("industrial capacity utilization", "the rate at which factories use their capacity"),
    "dlr": ClassTexts("the dollar", "the course of the dollar and its support by central banks"),
    "fuel": ClassTexts("fuel oil", "prices of fuel oil, raised or lowered by a company"),
    "gas": ClassTexts("gasoline", "gasoline prices, stocks and unleaded fuel"),
    "gnp": ClassTexts("gross national product", "growth of the economy, gross national or domestic product"),
    "gold": ClassTexts("gold", "gold mines, ounces of gold and bullion"),
    "heat": ClassTexts("heating oil", "prices of heating oil, raised or lowered by a company"),
    "housing": ClassTexts("housing starts", "new homes begun, housing starts and building permits"),
    "income": ClassTexts("personal income", "personal income and consumer spending of a month"),
    "instal-debt": ClassTexts("consumer credit", "installment debt and consumer credit"),
    "ipi": ClassTexts("industrial production", "the index of industrial production and factory output"),
    "iron-steel": ClassTexts("iron and steel", "steel mills, iron ore and steel prices"),
    "jet": ClassTexts("jet fuel", "jet fuel and kerosene"),
    "jobs": ClassTexts("unemployment", "the unemployment rate and numbers of jobs"),
    "lead": ClassTexts("lead metal", "lead smelters and prices of lead"),
    "lei": ClassTexts("leading economic indicators", "the index of leading economic indicators"),
    "livestock": ClassTexts("livestock", "cattle, hogs, pigs and other animals on farms"),
    "lumber": ClassTexts("lumber", "lumber, timber and wood"),
    "meal-feed": ClassTexts("meal and animal feed", "soybean meal and feed for animals"),
    "money-supply": ClassTexts("money supply", "the money supply M1, M2 and M3 of a week or month"),
    "nat-gas": ClassTexts("natural gas", "natural gas fields, pipelines and cubic feet"),
    "nickel": ClassTexts("nickel", "nickel mines and prices"),
    "orange": ClassTexts("orange juice", "oranges and frozen concentrated orange juice"),
    "pet-chem": ClassTexts("petrochemicals", "petrochemical plants, ethylene and plastics"),
    "platinum": ClassTexts("platinum", "platinum coins, mines and ounces"),
    "potato": ClassTexts("potatoes", "potatoes and potato futures"),
    "reserves": ClassTexts("foreign reserves", "foreign exchange and gold reserves of a country"),
    "retail": ClassTexts("retail sales", "retail sales of a month"),
    "rubber": ClassTexts("rubber", "natural rubber and the international rubber agreement"),
    "strategic-metal": ClassTexts("strategic metals", "uranium, cobalt, titanium and other strategic metals"),
    "sugar": ClassTexts("sugar", "sugar beet and cane, tenders and tonnes of sugar"),
    "tea": ClassTexts("tea", "tea auctions, growers and exports"),
    "tin": ClassTexts("tin", "tin mines, the tin council and prices"),
    "veg-oil": ClassTexts("vegetable oil", "palm oil, soybean oil and other vegetable oils"),
    "wpi": ClassTexts("wholesale prices", "the wholesale or producer price index"),
    "zinc": ClassTexts("zinc", "zinc smelters and prices"),
}
"""The same for the 52 topics of R52."""


def reuters_r8(name: str) -> ZeroShotTask:
    """Build ``reuters-r8``: the whole test set of R8, the first 600 characters of each document, without labels."""
    return tab_zeroshot(name, R8, "reuters-r8-test.tab", source="reuters", development="reuters-r8-train.tab")


def reuters_r52(name: str) -> ZeroShotTask:
    """Build ``reuters-r52``: the same for R52, whose classes have between 1 and 1,083 documents."""
    return tab_zeroshot(name, R52, "reuters-r52-test.tab", source="reuters", development="reuters-r52-train.tab")
