"""`lung-density`: low and high attenuation, percentile and mean density of lungs and lobes; no network of its own."""
