"""The glossary: names say what a thing is, in the field's words (docs/glossary.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("threer_blender", "tests", "docs", "wheels") for path in (ROOT / folder).rglob("*.py")
)

# Word -> what is said instead.
WORDS = {
    "apart": "disconnected, distances",
    "bent": "distorted",
    "confirmation": "geometric consistency",
    "filling": "depth completion",
    "following": "camera tracking, next",
    "found": "what it is: matches, cards, existing",
    "growth": "log_scale, scale",
    "home": "data_folder",
    "judgement": "model selection",
    "kept": "retained, inliers",
    "left_out": "unregistered, skipped",
    "likeness": "similarity",
    "look": "pass",
    "looks": "passes",
    "merit": "score",
    "move": "translation, motion",
    "moves": "translates, motions",
    "own": "what it is: local, ours",
    "placed": "registered",
    "placement": "initial poses",
    "pull": "irls_weight",
    "said": "reported, output",
    "seen": "visible, observed",
    "seen_through": "free-space violation",
    "shown": "visible, displayed",
    "strain": "residual",
    "sure": "confidence",
    "surety": "confidence, weight",
    "told": "reported",
    "turn": "rotation",
    "turns": "rotations, angles",
}
# Names that other libraries gave, and words in their plain English meaning. An attribute begins with a dot, a keyword
# ends with an equals sign.
ALLOWED = {
    ".home": "pathlib",
    ".move": "shutil",
    ".pull": "PyAV's filter graphs",
    "placement=": "Blender's operator that detects features",
    ".look": "Blender's colour management",
    "look": "how points and splats look: scene/look.py and scene/splats/look.py",
}


# Longer names that such a word is part of, in its plain English meaning.
PHRASES = {
    "cuda_home": "PyTorch's",
    "rocm_home": "PyTorch's",
    "half_turn": "180 degrees",
    "quarter_turn": "90 degrees",
    "quarter_turns": "90 degrees each",
    "look_at": "the pose of a camera that looks at a point",
    "look_at_the_preferences": "what an artist does",
    "look_at_the_result": "what an artist does",
    "look_through": "an artist looks through a camera, as Blender says",
    "threer_ot_look_through": "an artist looks through a camera, as Blender says",
    "shot_moves": "the moves of the rendered shots' cameras: orbit, dolly, zoom",
    "splat_look": "scene/splats/look.py",
}


def is_strange(name: str) -> bool:
    """Whether a name is such a word, or has one in it. The names of tests are sentences in plain English."""
    plain = name.strip("._=").lower()
    if name in ALLOWED or plain in PHRASES or plain.startswith("test_"):
        return False
    return any(f"_{word}_" in f"_{plain.rpartition('.')[2]}_" for word in WORDS)


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every identifier with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.Attribute(attr=name):
                yield f".{name}", node.lineno
            case ast.keyword(arg=str(name)):
                yield f"{name}=", node.value.lineno
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((alias.asname or alias.name.rpartition(".")[2], node.lineno) for alias in aliases)


def test_no_name_is_of_a_private_dialect() -> None:
    strangers = [
        f"{path.relative_to(ROOT)}:{line}: {name.strip('.=')}"
        for path in FILES
        for name, line in names(ast.parse(path.read_text("utf-8")))
        if is_strange(name)
    ]
    assert strangers == [], "see WORDS for what to say instead"


def test_strange_names_are_noticed() -> None:
    assert all(map(is_strange, ("found", "self._kept", "KEPT_LOGS", "is_left_out", "seen=", "surety")))
    assert not any(map(is_strange, ("look_at", ".home", "foundation", "test_a_fact_is_kept")))


def test_sentences_of_docstrings_have_a_subject() -> None:
    """None begins with "What …" or "Which …" in place of a noun."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    begun = [
        f"{path.relative_to(ROOT)}: {sentence[:60]}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kinds)
        for sentence in re.split(r"[.:]\s+|\n\n", re.sub(r"^\[[SBR]\] ", "", ast.get_docstring(node) or ""))
        if re.match(r"(What|Which|Whose)\b", sentence)
    ]
    assert begun == []


def test_a_class_of_a_common_name_says_whose_it_is() -> None:
    """`ShotState`, not `State`. A name that several files use gets a prefix, but for `exceptions`."""
    common = {"Config", "Settings", "Solution", "State", "Report", "ViewPrediction", "Warning"}
    exceptions = {"model/engine.py": "Report", "geometry/view_prediction.py": "ViewPrediction"}
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.strip("_") in common
        if exceptions.get("/".join(path.parts[-2:])) != node.name
    ]
    assert bare == []
