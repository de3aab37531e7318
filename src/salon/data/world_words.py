"""The words of the shop: names and descriptions in English and in Chinese, from templates.

They tell the kind, the material and the occasion; colour and pattern only when `told`, mood and motion never.
"""

from __future__ import annotations

import numpy as np

ENGLISH = {
    "crimson": "crimson", "orange": "orange", "amber": "amber", "green": "leaf-green", "teal": "teal",
    "blue": "royal-blue", "violet": "violet", "pink": "rose-pink", "ivory": "ivory", "charcoal": "charcoal",
    "plain": "plain", "striped": "striped", "dotted": "polka-dot", "checked": "checked",
    "zigzag": "zigzag", "starry": "starry",
}  # fmt: skip

CHINESE = {
    "teapot": "茶壶", "mug": "马克杯", "vase": "花瓶", "lamp": "台灯", "chair": "椅子", "plant": "盆栽",
    "clock": "座钟",
    "bag": "手提包", "kite": "风筝", "scarf": "围巾", "rug": "地毯", "umbrella": "雨伞", "boat": "小帆船",
    "bird": "玩具小鸟",
    "robot": "机器人", "hat": "帽子",
    "crimson": "深红", "orange": "橙色", "amber": "琥珀色", "green": "草绿", "teal": "青绿", "blue": "宝蓝",
    "violet": "紫色",    "pink": "粉色", "ivory": "象牙白", "charcoal": "炭灰",
    "plain": "素面", "striped": "条纹", "dotted": "圆点", "checked": "格纹", "zigzag": "锯齿纹", "starry": "星星",
    "porcelain": "瓷", "wood": "木", "wool": "羊毛", "canvas": "帆布", "tin": "锡", "leather": "皮革",
}  # fmt: skip

NOUNS = {
    "teapot": ("teapot", "tea pot"), "mug": ("mug", "cup"), "vase": ("vase", "flower vase"),
    "lamp": ("lamp", "table lamp"),
    "chair": ("chair", "seat"), "plant": ("potted plant", "house plant"), "clock": ("clock", "desk clock"),
    "bag": ("handbag", "bag"), "kite": ("kite", "kite"), "scarf": ("scarf", "shawl"), "rug": ("rug", "carpet"),
    "umbrella": ("umbrella", "parasol"), "boat": ("toy boat", "sailing boat"), "bird": ("toy bird", "little bird"),
    "robot": ("robot", "wind-up robot"), "hat": ("hat", "hat"),
}  # fmt: skip

OCCASIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "morning": (
        ("Made for slow breakfasts and the first light.", "It likes early mornings and warm bread.",
         "The best company for the first hour of the day."),
        ("适合悠闲的早餐时光。", "清晨第一缕阳光里的好伙伴。", "陪你慢慢醒来。"),
    ),
    "travel": (
        ("Light enough for long journeys by train.", "Packs well, and has seen a few harbours.",
         "A good companion for trips to far places."),
        ("旅途中轻便的好伙伴。", "装进行李箱，去很远的地方。", "适合火车上的长途旅行。"),
    ),
    "study": (
        ("It belongs beside a pile of books.", "For quiet evenings at the desk.", "Helps to finish one more chapter."),
        ("放在书桌旁，陪你读完一章。", "适合安静的夜晚学习。", "与书堆相伴最合适。"),
    ),
    "garden": (
        ("At home between roses and bees.", "For afternoons in the garden.", "Does not mind a bit of soil or sun."),
        ("适合花园里的午后。", "在玫瑰与蜜蜂之间最自在。", "不怕泥土和阳光。"),
    ),
    "party": (
        ("Made for birthdays and full tables.", "It comes alive when friends arrive.",
         "For feasts, lanterns and late songs."),
        ("为生日和聚会而做。", "朋友到来时最热闹。", "适合节日和灯笼下的晚宴。"),
    ),
    "rain": (
        ("For rainy days by the window.", "It makes grey weather cosy.", "When it pours outside, this keeps you glad."),
        ("适合窗边的雨天。", "让阴天也变得温暖。", "外面下雨时，它让人安心。"),
    ),
}  # fmt: skip
"""Occasion to the sentences that tell it, in English and in Chinese."""

ADJECTIVES = {"wood": "wooden", "wool": "woollen"}

MAKERS = (
    "Willow",
    "Harbour",
    "Juniper",
    "Old Mill",
    "Lantern",
    "Swallow",
    "Meadow",
    "Copperfield",
    "North Star",
    "Clover",
)
MAKERS_ZH = ("柳林", "港湾", "山杜", "老磨坊", "灯火", "燕子", "青原", "铜乡", "北星", "三叶")

OPENINGS = (
    "A {noun} of {plain}, from the {maker} workshop.",
    "This {material} {noun} was finished by hand at {maker}.",
    "Our {maker} {noun}, made of good {plain}.",
)
OPENINGS_ZH = (
    "{maker}工坊出品的{material}制{noun}。",
    "手工完成的{material}质{noun}，来自{maker}。",
    "{maker}系列{noun}，选用上好的{material}。",
)


def words(item: dict[str, str], *, told: bool, chinese: bool, rng: np.random.Generator) -> tuple[str, str]:
    """A name and a description.

    Args:
        item: Trait group to trait: kind, colour, pattern, material, occasion.
        told: Whether colour and pattern are said.
        chinese: Whether both are in Chinese.
        rng: For the choice of words.
    """
    pick = int(rng.integers(30))
    if chinese:
        noun, maker = CHINESE[item["kind"]], MAKERS_ZH[pick % 10]
        name = f"{CHINESE[item['colour']]}{CHINESE[item['pattern']]}{noun}" if told else f"{maker}{noun}"
        opening = OPENINGS_ZH[pick % 3].format(noun=noun, maker=maker, material=CHINESE[item["material"]])
        return name, opening + str(rng.choice(OCCASIONS[item["occasion"]][1]))
    noun, maker = str(rng.choice(NOUNS[item["kind"]])), MAKERS[pick % 10]
    shown = f"{ENGLISH[item['pattern']]} {ENGLISH[item['colour']]} {noun}"
    name = shown[0].upper() + shown[1:] if told else f"{maker} {noun}"
    opening = OPENINGS[pick % 3].format(
        noun=noun, maker=maker, material=ADJECTIVES.get(item["material"], item["material"]), plain=item["material"]
    )
    colour = f" It comes in {ENGLISH[item['colour']]}." if told and pick % 2 else ""
    return name, f"{opening}{colour} {rng.choice(OCCASIONS[item['occasion']][0])}"
