"""The components that salon brings, by kind and short name; plugins register a table of the same shape."""

from __future__ import annotations

COMPONENTS: dict[str, dict[str, str]] = {
    "encoder": {
        "minilm": "salon.encode.sentences:MiniLM",
        "use": "salon.encode.sentences:MultilingualUSE",
        "text": "salon.encode.language:TextByLanguage",
        "tfidf": "salon.encode.classic:TfIdf",
        "hashing": "salon.encode.classic:Hashing",
        "lite0": "salon.encode.pictures:EfficientNetLite0",
        "colour": "salon.encode.classic_image:ColourTexture",
        "musicnn": "salon.encode.sounds:MusiCNN",
        "voice": "salon.encode.sounds:GE2EVoice",
        "logmel": "salon.encode.classic_audio:LogMel",
        "mfcc": "salon.encode.classic_audio:Mfcc",
        "video": "salon.encode.videos:VideoFrames",
        "video-sound": "salon.encode.videos:VideoSound",
        "categories": "salon.encode.tables:Categories",
        "numbers": "salon.encode.tables:Numbers",
        "vectors": "salon.encode.tables:Vectors",
    },
    "fuser": {
        "none": "salon.fuse.base:KeepApart",
        "concat": "salon.fuse.simple:Concat",
        "weighted": "salon.fuse.simple:Weighted",
        "mean": "salon.fuse.simple:MaskedMean",
        "pca": "salon.fuse.simple:Pca",
    },
    "model": {
        "random": "salon.models.popular:Random",
        "popular": "salon.models.popular:Popular",
        "recent": "salon.models.popular:Recent",
        "contentknn": "salon.models.content:ContentKNN",
        "itemknn": "salon.models.neighbours:ItemKNN",
        "userknn": "salon.models.neighbours:UserKNN",
        "rp3beta": "salon.models.walks:RP3Beta",
        "graphfilter": "salon.models.walks:GraphFilter",
        "biasedmf": "salon.models.factors:BiasedMF",
        "als": "salon.models.factors:ImplicitALS",
        "bpr": "salon.models.factors:ImplicitBPR",
        "ease": "salon.models.ease:EASE",
        "linear": "salon.models.linear:Linear",
    },
    "index": {
        "exact": "salon.index.exact:ExactIndex",
    },
}
