"""Measurement: key figures by day, who comes back, funnels, journeys, what campaigns and variants changed."""
