"""The compositor of each Blender, for tests that look at what it shows."""

from typing import Any

import bpy


def compositor(scene: Any) -> Any:
    """An empty tree of compositing nodes for the scene, and its output node. Since Blender 5.0, the tree is a group."""
    if not hasattr(scene, "compositing_node_group"):
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
        return scene.node_tree, scene.node_tree.nodes.new("CompositorNodeComposite")
    scene.compositing_node_group = bpy.data.node_groups.new("comp", "CompositorNodeTree")
    tree = scene.compositing_node_group
    tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree, tree.nodes.new("NodeGroupOutput")
