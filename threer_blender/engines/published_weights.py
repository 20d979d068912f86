"""[S] The files of weights that engines use: address, size, hash, and licence.

Most are on Hugging Face. An address that does not end in a file's name has it as its fragment, which no server gets;
only that of a file which the user fetches by hand is the page to fetch it from. Where the size (0) and the hash ("") of
a file are unknown, its address names no revision. The entries look alike, but are written out in full, so that each can
be checked against the page of its file.
"""

from __future__ import annotations

from ..model.engine import Weights

HUGGING_FACE = "https://huggingface.co"

DUST3R = Weights(
    name="DUSt3R_ViTLarge_BaseDecoder_512_dpt.safetensors",
    url=f"{HUGGING_FACE}/naver/DUSt3R_ViTLarge_BaseDecoder_512_dpt"
    "/resolve/61c57447d7b0adc8a1a30b2b0adec7a8935aa2a3/model.safetensors",
    size=2_284_790_056,
    sha256="7c300a89534113436bde52732d3151212bcbd90f0aa3c8d1496f86d84bfe4b42",
    family="DUSt3R",
    licence="CC-BY-NC-SA-4.0, and the terms of the data it was trained on",
    terms_url="https://github.com/naver/dust3r#license",
)
MAST3R = Weights(
    name="MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric.safetensors",
    url=f"{HUGGING_FACE}/naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric"
    "/resolve/06e7259f34c3060f322df5cb0c7b9094f57e41fc/model.safetensors",
    size=2_754_661_648,
    sha256="0a615eb05fa9db654050aa655945ee5696e7c6c1b7f93f1ee8c37249010f6feb",
    family="MASt3R",
    licence="CC-BY-NC-SA-4.0, and the terms of the data it was trained on",
    terms_url="https://github.com/naver/mast3r/blob/main/CHECKPOINTS_NOTICE",
)
SPLATT3R = Weights(
    name="splatt3r_v1.0.ckpt",
    url=f"{HUGGING_FACE}/brandonsmart/splatt3r_v1.0/resolve/main/epoch%3D19-step%3D1200.ckpt",
    size=0,
    sha256="",
    family="Splatt3R",
    licence="CC-BY-NC-4.0, made from MASt3R's weights, which are CC-BY-NC-SA-4.0",
    terms_url=f"{HUGGING_FACE}/brandonsmart/splatt3r_v1.0",
)
DEPTH_ANYTHING3 = Weights(
    name="DA3-BASE.safetensors",
    url=f"{HUGGING_FACE}/depth-anything/DA3-BASE/resolve/f4a6c9b3c95e41c82048423d3493a81ec3fa810e/model.safetensors",
    size=541_518_028,
    sha256="e01067dc1659613083d9145a9a2547ccdbe6ccbbf83c4fe7b3e8a4e2bdae78b5",
    family="Depth Anything 3",
    licence="Apache-2.0",
    terms_url=f"{HUGGING_FACE}/depth-anything/DA3-BASE",
)
SPANN3R = Weights(
    name="spann3r_v1.01.pth",
    url="https://drive.google.com/drive/folders/1bqtcVf8lK4VC8LgG-SIGRBECcrFqM7Wy",
    size=0,
    sha256="",
    family="Spann3R",
    licence="CC-BY-NC-SA-4.0",
    terms_url="https://github.com/HengyiWang/spann3r#license",
    by_hand=True,
)
FAST3R = Weights(
    name="Fast3R_ViT_Large_512.safetensors",
    url=f"{HUGGING_FACE}/jedyang97/Fast3R_ViT_Large_512/resolve/main/model.safetensors",
    size=0,
    sha256="",
    family="Fast3R",
    licence="FAIR Noncommercial Research License",
    terms_url=f"{HUGGING_FACE}/jedyang97/Fast3R_ViT_Large_512",
)
CUT3R = Weights(
    name="cut3r_512_dpt_4_64.pth",
    url="https://drive.usercontent.google.com/download?id=1Asz-ZB3FfpzZYwunhQvNPZEUA8XUNAYD&export=download&confirm=t"
    "#cut3r_512_dpt_4_64.pth",
    size=3_173_761_006,
    sha256="45f7e98a0a64dbeb54901ae2b878cd8cd125f20a4497316483f0bd6f109f8103",
    family="CUT3R",
    licence="CC-BY-NC-SA-4.0",
    terms_url="https://github.com/CUT3R/CUT3R/blob/main/LICENSE",
)
MUST3R = Weights(
    name="MUSt3R_512.pth",
    url="https://download.europe.naverlabs.com/ComputerVision/MUSt3R/MUSt3R_512.pth",
    size=0,
    sha256="",
    family="MUSt3R",
    licence="MUSt3R Non-Commercial License, and the terms of the data it was trained on",
    terms_url="https://github.com/naver/must3r#license",
)
MAP_ANYTHING = Weights(
    name="map-anything-apache.safetensors",
    url=f"{HUGGING_FACE}/facebook/map-anything-apache"
    "/resolve/00f9c245bbcb60522d1ed7f9e9d88462c6e3f38a/model.safetensors",
    size=4_914_062_480,
    sha256="fa06c0fdccefc5048e072c85935d5789b1e36b307f3859033c17f9dcb9fd5201",
    family="MapAnything",
    licence="Apache-2.0",
    terms_url=f"{HUGGING_FACE}/facebook/map-anything-apache",
)
PI3 = Weights(
    name="Pi3.safetensors",
    url=f"{HUGGING_FACE}/yyfz233/Pi3/resolve/ae722e7039287d0c8fde9f11f197f804f44b510c/model.safetensors",
    size=3_834_909_248,
    sha256="33580e4702ac671558aedeab1148fd08118f7ce45bdbeb99f3e3cf340062875d",
    family="Pi3",
    licence="CC-BY-NC-4.0",
    terms_url=f"{HUGGING_FACE}/yyfz233/Pi3",
)
VGGT = Weights(
    name="VGGT-1B.safetensors",
    url=f"{HUGGING_FACE}/facebook/VGGT-1B/resolve/860abec7937da0a4c03c41d3c269c366e82abdf9/model.safetensors",
    size=5_026_367_224,
    sha256="f164acf60724910d8fe1578bb499d800850c7bb0948db7555c413f9fbe60467e",
    family="VGGT-1B",
    licence="CC-BY-NC-4.0",
    terms_url=f"{HUGGING_FACE}/facebook/VGGT-1B",
)
VGGT_COMMERCIAL = Weights(
    name="VGGT-1B-Commercial.safetensors",
    url=f"{HUGGING_FACE}/facebook/VGGT-1B-Commercial"
    "/resolve/ebb29a532abe92960eeb6903a5530f16990ef4ab/model.safetensors",
    size=5_026_367_224,
    sha256="2b766b284359bc47ce26be107254621f685b758a0282082ff109f3ff02788b53",
    family="VGGT-1B-Commercial",
    licence="VGGT License v1, whose use policy excludes military use",
    terms_url=f"{HUGGING_FACE}/facebook/VGGT-1B-Commercial",
    gated=True,
)
VGGT_OMEGA = Weights(
    name="vggt_omega_1b_512.pt",
    url=f"{HUGGING_FACE}/facebook/VGGT-Omega/resolve/05654241adc2f218dfb089c373a011f8a7040576/vggt_omega_1b_512.pt",
    size=4_576_706_117,
    sha256="c02da418b18bb01d0392598d3f6147366bcde1bb70fd08a5e3bf7925b0667934",
    family="VGGT-Omega",
    licence="FAIR Noncommercial Research License",
    terms_url=f"{HUGGING_FACE}/facebook/VGGT-Omega",
    gated=True,
)
VGGT_OMEGA_RETRAINED = Weights(
    name="vggt_omega_1b_416_reproduce.pt",
    url=f"{HUGGING_FACE}/facebook/VGGT-Omega/resolve/main/vggt_omega_1b_416_reproduce.pt",
    size=0,
    sha256="",
    family="VGGT-Omega",
    licence="FAIR Noncommercial Research License",
    terms_url=f"{HUGGING_FACE}/facebook/VGGT-Omega",
    gated=True,
)
