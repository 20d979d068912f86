"""[S] A solved lens for other programs: models fitted to each other, overscan, STMaps, Nuke scripts."""
