"""One row of the splat benchmark: photos solved, splatted, and judged by photos that were held out."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.benchmarks._measure import DATA, SAMPLE, true_frames
from threer_blender.engines import colmap, instantsplat
from threer_blender.evaluation import picture_measures
from threer_blender.geometry import pointmaps
from threer_blender.geometry.splats import training
from threer_blender.geometry.splats.rasteriser import Splats
from threer_blender.geometry.stereo import dense
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Reconstruction
from threer_blender.pictures import photos as photo_files
from threer_blender.pipelines import dense_points
from threer_blender.runtime.report import MessageReport

LONG_SIDE = instantsplat.QUALITIES["draft"].long_side
COLMAP_OPTIONS = instantsplat.START_OPTIONS["colmap"]["draft"]  # options of the engine that solves the cameras
PICTURE_SCALE = 3  # how much larger than the splats' own size pictures are written


def _set(name: str) -> tuple[list[Path], dict[str, Array]]:
    """A set's photos by order of name, and the true `world_from_camera` of those that have one."""
    if name == "sample":
        records = json.loads((SAMPLE / "truth.json").read_text())["cameras"]
        poses = {record["photo"]: np.array(record["world_from_camera"]) for record in records}
        return sorted((SAMPLE / "photos").iterdir()), poses
    _, frames = true_frames(name)
    poses = {photo: np.linalg.inv(np.array(frame["w2c"])) for photo, frame in frames.items()}
    return sorted((DATA / name / "images").iterdir()), poses


class Row:
    """A set's first `count` photos by name, and which of them are for training and held out."""

    def __init__(self, name: str, dataset: str, count: int, trained: list[int], held_out: list[int]) -> None:
        self.name = name
        files, self._truth = _set(dataset)
        self._all = photo_files.read(files[:count], lambda *_: None).accepted
        self._training = [self._all[i] for i in trained]
        self._held_out = [self._all[i] for i in held_out]

    def solve(self, together: bool) -> Reconstruction:
        """Cameras and pointmaps of the training photos.

        Where `together`, all photos determine the cameras, and the training photos alone the depth.
        """
        if together:
            return self._with_depth(self._engine(self._all, points=False))
        return self._engine(self._training, points=True)

    def _engine(self, photos: list[Any], points: bool) -> Reconstruction:
        options = colmap.ENGINE.checked_options({**COLMAP_OPTIONS, "points": points})
        return colmap.reconstruct(photos, options, MessageReport(lambda _: None))

    def _with_depth(self, result: Reconstruction) -> Reconstruction:
        """The training photos of a sparse result, with depth from them alone."""
        photos = {photo.name: photo for photo in self._training}
        cameras = [camera for camera in result.cameras if camera.photo in photos]
        assert result.cloud is not None
        points = np.asarray(result.cloud.positions, np.float64)
        inside = []
        for camera in cameras:
            pixels = camera.project(points)
            inside.append((pixels >= 0).all(-1) & (pixels < (camera.width, camera.height)).all(-1))
        settings = {"preview": dense.PREVIEW, "standard": dense.STANDARD}[COLMAP_OPTIONS["quality"]]
        views = [
            view
            for camera, ids in zip(cameras, map(np.flatnonzero, inside), strict=True)
            for view in dense_points.pinhole_views(camera, photos[camera.photo], points[ids], ids, settings.long_side)
        ]
        depths = dense.estimate_depths(views, settings, lambda *_: None)
        maps = [
            pointmaps.from_ideal(
                camera, view.intrinsics, d.depth, d.normal, d.confidence, settings.long_side, dense.TRUSTED
            )
            for camera, view, d in zip(cameras, views, depths, strict=True)
        ]
        return replace(
            result,
            photos=[photos[camera.photo] for camera in cameras],
            cameras=cameras,
            pointmaps=maps,
            cloud=None,
            trusted_confidence=dense.TRUSTED,
        )

    def splat(self, solved: Reconstruction) -> Reconstruction:
        report = MessageReport(lambda _: None)
        report.plan([instantsplat.STARTING.weighing(1), instantsplat.SPLATTING.weighing(9)])
        return instantsplat.splatted(solved, "draft", report)

    def judge(self, result: Reconstruction, folder: Path | None = None) -> dict[str, float]:
        """Mean PSNR and SSIM on the held-out photos; with a folder, the pictures too."""
        assert result.gaussians is not None
        g, scores = result.gaussians, []
        splats = Splats(*(torch.from_numpy(a) for a in (g.means, g.scales, g.rotations, g.opacities, g.sh)))
        depth = float(np.median(result.pointmaps[0].depth(result.cameras[0])))
        for photo in self._held_out:
            view, _ = instantsplat.training_view(self._registered(result, photo.name), photo, LONG_SIDE)
            view = training.aligned(splats, view, depth)
            pose = torch.as_tensor(view.camera_from_world, dtype=torch.float32)
            drawn = training.draw(splats, view, pose).clamp(0, 1).numpy() * view.mask[..., None]
            reference = view.picture * view.mask[..., None]
            psnr = picture_measures.psnr(drawn, reference, view.mask)
            scores.append((psnr, picture_measures.ssim(drawn, reference)))
            if folder is not None:
                both = Image.fromarray((255 * np.concatenate([reference, drawn], 1) + 0.5).astype(np.uint8))
                size = (PICTURE_SCALE * both.width, PICTURE_SCALE * both.height)
                both.resize(size, Image.Resampling.BICUBIC).save(folder / f"{self.name}-{Path(photo.name).stem}.png")
        mean_psnr, mean_ssim = np.mean(scores, axis=0)
        return {"psnr": float(mean_psnr), "ssim": float(mean_ssim)}

    def _registered(self, result: Reconstruction, photo: str) -> Camera:
        """A held-out photo's camera: its true pose, brought to the solved world by the training photos' cameras."""
        cameras = [camera for camera in result.cameras if camera.photo in self._truth]
        true = [self._truth[camera.photo] for camera in cameras]
        products = sum(c.world_from_camera[:3, :3] @ t[:3, :3].T for c, t in zip(cameras, true, strict=True))
        u, _, v = np.linalg.svd(products)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
        turned = np.stack([rotation @ t[:3, 3] for t in true])
        centres = np.stack([c.world_from_camera[:3, 3] for c in cameras])
        a, b = turned - turned.mean(0), centres - centres.mean(0)
        scale = (a * b).sum() / (a * a).sum()
        pose = self._truth[photo]
        pose_here = np.eye(4)
        pose_here[:3, :3] = rotation @ pose[:3, :3]
        pose_here[:3, 3] = centres.mean(0) + scale * (rotation @ pose[:3, 3] - turned.mean(0))
        return replace(result.cameras[0], photo=photo, world_from_camera=pose_here)

    def turned(self, solved: Reconstruction, degrees: float) -> Reconstruction:
        """The result with each camera rotated about an axis of its own. All else stays, pointmaps, too."""
        random, cameras = np.random.default_rng(0), []
        for camera in solved.cameras:
            axis = random.normal(size=3)
            x, y, z = math.radians(degrees) * axis / np.linalg.norm(axis)
            rotation = np.eye(4)
            rotation[:3, :3] = torch.linalg.matrix_exp(
                torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
            )
            cameras.append(replace(camera, world_from_camera=camera.world_from_camera @ rotation))
        return replace(solved, cameras=cameras)

    def difference(self, a: Reconstruction, b: Reconstruction) -> float:
        """Largest angle in degrees between the cameras of two results, after one rotation for all of them."""
        worlds = sum(
            p.world_from_camera[:3, :3] @ q.world_from_camera[:3, :3].T
            for p, q in zip(a.cameras, b.cameras, strict=True)
        )
        u, _, v = np.linalg.svd(worlds)
        shared = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
        relative = [
            p.world_from_camera[:3, :3].T @ shared @ q.world_from_camera[:3, :3]
            for p, q in zip(a.cameras, b.cameras, strict=True)
        ]
        return max(math.degrees(math.acos(min(1.0, (np.trace(r) - 1) / 2))) for r in relative)
