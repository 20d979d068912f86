"""[S] The constants by which 3D Gaussians become pictures, as the released rasteriser of Kerbl et al. (2023) has them.

Whatever draws splats here takes them from this place: the kernels, the geometry nodes, the networks that predict
splats. The factors of spherical harmonics stand in `spherical_harmonics`.
"""

LOW_PASS = 0.3  # px², added to the variance of every footprint: no Gaussian is thinner than a pixel
ALPHA_LEAST = 1 / 255  # a Gaussian that covers less of a pixel is not drawn there
ALPHA_MOST = 0.99  # of a pixel that one Gaussian covers
LIGHT_LEAST = 1e-4  # a Gaussian that would let less light pass is not drawn at that pixel
NEAREST = 0.01  # depth in world units; what is nearer is not drawn
FIELD = 1.3  # times half the field of view: beyond it a footprint's shape is taken from there (Zwicker et al. 2001)
