"""[S] The constants of drawing 3D Gaussians, as in the released rasteriser of Kerbl et al. (2023).

All code that draws splats takes them from here: the kernels, the geometry nodes, and the networks that predict splats.
The factors of spherical harmonics are in `spherical_harmonics`.
"""

LOW_PASS = 0.3  # px², added to the variance of every footprint: no Gaussian is thinner than a pixel
ALPHA_LEAST = 1 / 255  # a Gaussian whose alpha at a pixel is smaller is not drawn there
ALPHA_MOST = 0.99  # the largest alpha of one Gaussian at a pixel
LIGHT_LEAST = 1e-4  # transmittance: a Gaussian that would leave a pixel less is not drawn there
NEAREST = 0.01  # depth in world units up to which nothing is drawn
SLOPE_MOST = 1.3  # times the tangent of half the field of view: the slope at which a footprint's projection is clamped
